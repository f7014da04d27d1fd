"""Opens an encrypted access token from standard input with an API's private key, verifies what is
within by the issuer's published keys, and prints its claims.

    opened.py KEY_FILE JWKS_URI ALG
"""

import json
import sys

import requests
from joserfc import jwe, jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

key_file, jwks_uri, alg = sys.argv[1:]
kind = {"ECDH-ES": ECKey, "RSA-OAEP-256": RSAKey}[alg]
with open(key_file, "rb") as file:
    key = kind.import_key(file.read())
opened = jwe.decrypt_compact(sys.stdin.read(), key, algorithms=[alg, "A256GCM"])
published = KeySet.import_key_set(requests.get(jwks_uri, timeout=10).json())
token = jwt.decode(opened.plaintext, published, algorithms=["ES256", "EdDSA", "PS256", "RS256"])
assert token.header["typ"] == "at+jwt"
print(json.dumps(token.claims))
