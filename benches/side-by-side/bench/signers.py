"""Signs calls, each for itself; runs in the cached environment, since it needs `cryptography`.

    python signers.py FOLDER KIND URL METHOD COUNT

writes COUNT lines into FOLDER/fresh.txt, made of the keys in FOLDER: the values of the header
fields that `kinds.py` names, divided by tabs. They are good for minutes, so they are made just
before they are sent. The wire formats are those of docs/src/credentials.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import secrets
import sys
import time
import urllib.parse

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from claims import BODY, CALLER, SIGNED_AUDIENCE, SIGV4_REGION, SIGV4_SERVICE
from tokens import b64, jws, public_jwk, thumbprint


class Call:
    """What is signed, and the keys for it."""

    def __init__(self, folder, url, method):
        self.folder, self.url, self.method = folder, url, method
        parts = urllib.parse.urlsplit(url)
        self.host, self.path = parts.netloc, parts.path
        self.body = BODY if method == "POST" else ""
        self.digest = hashlib.sha256(self.body.encode()).hexdigest()
        self.now = int(time.time())

    def shared(self, scheme):
        """Key id and secret of a scheme."""
        key = json.loads((self.folder / "signing.json").read_text())[scheme]
        return key["key_id"], key.get("secret")

    def private(self, name):
        """A private key."""
        return load_pem_private_key((self.folder / f"{name}.key").read_bytes(), None)


def hmac_request(call):
    """Doorward's plain scheme."""
    key_id, secret = call.shared("hmac")
    secret = secret.encode()
    while True:
        nonce = secrets.token_hex(16)
        lines = ["HMAC-SHA256", str(call.now), nonce, call.method, call.host, call.path, call.digest]
        signature = hmac.digest(secret, "\n".join(lines).encode(), "sha256").hex()
        yield [
            f"HMAC-SHA256 keyid={key_id}, created={call.now}, nonce={nonce}, "
            f"digest={call.digest}, signature={signature}"
        ]


def sigv4(call):
    """AWS Signature Version 4. A field of its own makes calls of one second differ."""
    key_id, secret = call.shared("sigv4")
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(call.now))
    scope = [at[:8], SIGV4_REGION, SIGV4_SERVICE, "aws4_request"]
    key = ("AWS4" + secret).encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    names = "host;x-amz-content-sha256;x-amz-date;x-amz-meta-call"
    while True:
        number = secrets.token_hex(8)
        fields = f"host:{call.host}\nx-amz-content-sha256:{call.digest}\nx-amz-date:{at}\nx-amz-meta-call:{number}\n"
        request = "\n".join([call.method, call.path, "", fields, names, call.digest])
        digest = hashlib.sha256(request.encode()).hexdigest()
        signed = "\n".join(["AWS4-HMAC-SHA256", at, "/".join(scope), digest])
        signature = hmac.digest(key, signed.encode(), "sha256").hex()
        credential = "/".join([key_id, *scope])
        yield [
            at,
            call.digest,
            number,
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}",
        ]


def message(call):
    """An HTTP message signature by Ed25519 (RFC 9421 §3.3.6)."""
    key_id, _ = call.shared("http_signature")
    key = call.private("message")
    covered = {"@method": call.method, "@authority": call.host, "@path": call.path, "@query": "?"}
    names = " ".join(f'"{name}"' for name in covered)
    base = "".join(f'"{name}": {value}\n' for name, value in covered.items())
    while True:
        parameters = f'({names});created={call.now};keyid="{key_id}";nonce="{secrets.token_hex(16)}"'
        signature = key.sign(f'{base}"@signature-params": {parameters}'.encode())
        yield [f"sig={parameters}", f"sig=:{base64.b64encode(signature).decode()}:"]


def client_jwt(call):
    """A JWT that a client signs for this one call, by ES256."""
    key = call.private("caller")
    header = {"alg": "ES256", "kid": thumbprint(public_jwk(key)), "typ": "client-call+jwt"}
    claims = {"iss": CALLER, "sub": CALLER, "aud": SIGNED_AUDIENCE, "iat": call.now, "exp": call.now + 300}
    claims |= {"htm": call.method, "htu": call.url}
    while True:
        yield [jws(key, header, {**claims, "jti": secrets.token_hex(16)})]


def dpop(call):
    """A bound token and a proof for it by ES256 (RFC 9449 §4.2)."""
    key = call.private("caller")
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public_jwk(key)}
    token = (call.folder / "dpop.token").read_text()
    claims = {"htm": call.method, "htu": call.url, "iat": call.now, "ath": b64(hashlib.sha256(token.encode()).digest())}
    while True:
        yield [token, jws(key, header, {**claims, "jti": secrets.token_hex(16)})]


def webhook(call):
    """A delivery in the style of Standard Webhooks."""
    _, secret = call.shared("webhook")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    while True:
        delivery = f"msg_{secrets.token_hex(16)}"
        signature = hmac.digest(key, f"{delivery}.{call.now}.{call.body}".encode(), "sha256")
        yield [delivery, str(call.now), f"v1,{base64.b64encode(signature).decode()}"]


SIGNERS = {
    "hmac": hmac_request,
    "hmac-post": hmac_request,
    "sigv4": sigv4,
    "message": message,
    "client-jwt": client_jwt,
    "dpop": dpop,
    "webhook": webhook,
}


def main(folder, kind, url, method, count):
    folder = pathlib.Path(folder)
    lines = SIGNERS[kind](Call(folder, url, method))
    with open(folder / "fresh.txt", "w", encoding="ascii") as file:
        for _ in range(int(count)):
            file.write("\t".join(next(lines)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
