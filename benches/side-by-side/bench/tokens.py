"""Makes keys, certificates and tokens; runs in the cached environment, since it needs `cryptography`.

    python tokens.py FOLDER FEW NEW

writes into FOLDER
    public.pem, jwks.json      the issuer's ES256 key (RFC 7518 §3.4), as each program wants it
    seen.txt                   FEW tokens, one a line (RFC 9068 claims)
    new.txt                    NEW tokens, one a line, each to be used once
    refused.json               tokens that every program must refuse
    certified.txt              a token that is bound to the client's certificate (RFC 8705 §3.1)
    dpop.token                 a token that is bound to the caller's key (RFC 9449 §6.1)
    caller.key, caller.json    the caller's ES256 key, and the set of its public half
    message.key, message.pub   an Ed25519 key that signs messages
    encryption.key             the P-256 key that tokens are encrypted to
and what `certificates.py` makes.
"""

import base64
import hashlib
import json
import pathlib
import sys
import time
import uuid

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import certificates
from claims import AUDIENCE, ISSUER, SCOPE

#: Seconds; the longest that an access token should live, and longer than a run.
LIFETIME = 3600

ES256 = ec.ECDSA(hashes.SHA256())


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def public_jwk(key):
    """The bare members of the public half: those that a thumbprint is made of."""
    numbers = key.public_key().public_numbers()
    return {"crv": "P-256", "kty": "EC", "x": b64(numbers.x.to_bytes(32)), "y": b64(numbers.y.to_bytes(32))}


def thumbprint(jwk):
    # RFC 7638 §3: members in lexicographic order, no blanks.
    return b64(hashlib.sha256(json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()).digest())


def key_set(key):
    jwk = public_jwk(key)
    return {"keys": [{**jwk, "kid": thumbprint(jwk), "alg": "ES256", "use": "sig"}]}


def jws(key, header, claims):
    """A compact JWS by ES256 (RFC 7515 §3.1)."""
    signed = ".".join(b64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    r, s = decode_dss_signature(key.sign(signed.encode(), ES256))
    return f"{signed}.{b64(r.to_bytes(32) + s.to_bytes(32))}"


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
    return jws(key, header, claims)


def pem(key):
    """The public half of a key."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def main(folder, few, new):
    folder = pathlib.Path(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    keys = key_set(key)
    kid = keys["keys"][0]["kid"]
    now = int(time.time())
    (folder / "jwks.json").write_text(json.dumps(keys))
    (folder / "public.pem").write_bytes(pem(key))
    for name, count in (("seen.txt", int(few)), ("new.txt", int(new))):
        with open(folder / name, "w", encoding="ascii") as file:
            for number in range(count):
                file.write(token(key, kid, number, now) + "\n")
    stranger = ec.generate_private_key(ec.SECP256R1())
    (folder / "refused.json").write_text(
        json.dumps(
            {
                "signed by another key": token(stranger, kid, 0, now),
                "expired": token(key, kid, 0, now, iat=now - 7200, exp=now - 3600),
                "of another issuer": token(key, kid, 0, now, iss="https://elsewhere.test"),
                "for another audience": token(key, kid, 0, now, aud="https://elsewhere.test"),
            }
        )
    )
    certificate = certificates.make(folder)
    bound = {"x5t#S256": b64(hashlib.sha256(certificate).digest())}
    # Two lines: the first is tried when the program starts, the second is what refusals are made of.
    lines = [token(key, kid, number, now, cnf=bound) + "\n" for number in range(2)]
    (folder / "certified.txt").write_text("".join(lines))

    caller = ec.generate_private_key(ec.SECP256R1())
    certificates.write_key(folder / "caller.key", caller)
    (folder / "caller.json").write_text(json.dumps(key_set(caller)))
    (folder / "dpop.token").write_text(token(key, kid, 0, now, cnf={"jkt": thumbprint(public_jwk(caller))}))
    message = ed25519.Ed25519PrivateKey.generate()
    certificates.write_key(folder / "message.key", message)
    (folder / "message.pub").write_bytes(pem(message))
    certificates.write_key(folder / "encryption.key", ec.generate_private_key(ec.SECP256R1()))


if __name__ == "__main__":
    main(*sys.argv[1:])
