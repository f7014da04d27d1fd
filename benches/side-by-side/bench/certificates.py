"""Makes the server's certificate and clients' ones; runs in the cached environment, as `tokens.py` does.

    server                     self-signed, for the TLS cases
    authority                  who certifies the next two and `ended`
    client                     a client
    partner                    the server of the partner's issuer
    stranger                   of another authority, with the client's own name
    ended                      of the right authority and past its time

each as NAME.pem and NAME.key.
"""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from claims import WORKLOAD


def write_key(path, key):
    """A private key as PKCS#8 in PEM, for the owner alone."""
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def make(folder):
    """Writes all of them; returns the client's, in DER."""
    localhost = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    workload = [x509.UniformResourceIdentifier(WORKLOAD)]
    _write(folder, "server", *_made("localhost", localhost))
    authority, elsewhere = (_made("Authority", authority=True) for _ in range(2))
    _write(folder, "authority", *authority)
    client = _made("orders", workload, by=authority)
    _write(folder, "client", *client)
    _write(folder, "partner", *_made("localhost", localhost, by=authority))
    _write(folder, "stranger", *_made("orders", workload, by=elsewhere))
    _write(folder, "ended", *_made("orders", workload, by=authority, days=-1))
    return client[0].public_bytes(Encoding.DER)


def _made(name, names=(), by=None, authority=False, days=2):
    """A certificate with its key, by another pair or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by[0].subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=min(days, 0) - 1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(by[1] if by else key, hashes.SHA256()), key


def _write(folder, name, certificate, key):
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    write_key(folder / f"{name}.key", key)
