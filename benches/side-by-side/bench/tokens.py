"""Makes keys, a certificate and tokens; runs in the cached environment, since it needs `cryptography`.

    python tokens.py FOLDER FEW NEW

writes into FOLDER
    public.pem, jwks.json      the issuer's ES256 key (RFC 7518 §3.4), as each program wants it
    server.pem, server.key     a self-signed P-256 certificate for the TLS cases
    seen.txt                   FEW tokens, one a line (RFC 9068 claims)
    new.txt                    NEW tokens, one a line, each to be used once
    refused.json               tokens that every program must refuse
"""

import base64
import datetime
import hashlib
import ipaddress
import json
import pathlib
import sys
import time
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from claims import AUDIENCE, ISSUER, SCOPE

#: Seconds; the longest that an access token should live, and longer than a run.
LIFETIME = 3600


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def public_jwk(key):
    numbers = key.public_key().public_numbers()
    jwk = {"crv": "P-256", "kty": "EC", "x": b64(numbers.x.to_bytes(32)), "y": b64(numbers.y.to_bytes(32))}
    # RFC 7638 §3: members in lexicographic order, no blanks.
    thumbprint = b64(hashlib.sha256(json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()).digest())
    return {**jwk, "kid": thumbprint, "alg": "ES256", "use": "sig"}


def token(key, kid, number, now, **changes):
    header = {"alg": "ES256", "typ": "at+jwt", "kid": kid}
    claims = {
        "iss": ISSUER,
        "sub": f"client-{number}",
        "aud": AUDIENCE,
        "client_id": f"client-{number}",
        "scope": SCOPE,
        "iat": now,
        "exp": now + LIFETIME,
        "jti": str(uuid.uuid4()),
        **changes,
    }
    signed = ".".join(b64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{b64(r.to_bytes(32) + s.to_bytes(32))}"


def certificate(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    alternatives = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.key"
    path.touch(mode=0o600)
    path.write_bytes(private)


def main(folder, few, new):
    folder = pathlib.Path(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = public_jwk(key)
    kid = jwk["kid"]
    now = int(time.time())
    (folder / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
    (folder / "public.pem").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    for name, count in (("seen.txt", int(few)), ("new.txt", int(new))):
        with open(folder / name, "w", encoding="ascii") as file:
            for number in range(count):
                file.write(token(key, kid, number, now) + "\n")
    stranger = ec.generate_private_key(ec.SECP256R1())
    (folder / "refused.json").write_text(
        json.dumps(
            {
                "garbage": "garbage",
                "signed by another key": token(stranger, kid, 0, now),
                "expired": token(key, kid, 0, now, iat=now - 7200, exp=now - 3600),
                "of another issuer": token(key, kid, 0, now, iss="https://elsewhere.test"),
                "for another audience": token(key, kid, 0, now, aud="https://elsewhere.test"),
            }
        )
    )
    certificate(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
