"""Makes what calls carry on an installed Doorward, as an administrator and clients would."""

import base64
import json
import secrets
import urllib.request

from .claims import PARTNER_PREFIX, SCOPE

#: Tokens of our own issuer in each of its forms, and of a partner's, that take turns.
ISSUED_TOKENS = 100


def make(tell, made, issuer_url):
    """Writes them into the folder `made`.

    `tell` asks the admin API by the program's own command line.
    """
    grant = ["--application", "bench", "--scope", SCOPE, "--label", "Measuring"]
    apis = [word for api in ("keyed", "related", "policed") for word in ("--api", api)]
    _write(made / "key.txt", tell("key", "create", *apis, *grant)["secret"])

    password = tell("account", "password", "set", "bench")["secret"]
    _write(made / "basic.txt", base64.b64encode(f"bench:{password}".encode()).decode())

    signing = {}
    for scheme in ("hmac", "sigv4", "http_signature", "webhook"):
        public = ["--public-key-file", made / "message.pub"] if scheme == "http_signature" else []
        told = tell("secret", "create", "--scheme", scheme, "--api", "signed", *public, *grant)
        signing[scheme] = {"key_id": told["credential"]["signing"]["key_id"], "secret": told.get("secret")}
    _write(made / "signing.json", json.dumps(signing))

    # Who calls with a key is its application.
    caller = "service:app_" + tell("application", "show", "bench")["id"]
    tell("relation", "add", "order:1#shop@shop:north", f"shop:north#staff@{caller}")

    client = tell("client", "secret", "create", "bench-client")["secret"]
    for form in ("opaque", "paseto", "encrypted"):
        tokens = [_token(issuer_url, client, f"https://{form}.example") for _ in range(ISSUED_TOKENS)]
        _write(made / f"{form}.txt", "\n".join(tokens))


def make_partner(made):
    """The partner's tokens, and the secret of who asks about them."""
    tokens = [PARTNER_PREFIX + secrets.token_urlsafe(32) for _ in range(ISSUED_TOKENS)]
    _write(made / "partner.txt", "\n".join(tokens))
    _write(made / "partner.secret", secrets.token_urlsafe(32), end="")


def _write(path, text, end="\n"):
    path.touch(mode=0o600)
    path.write_text(text + end)


def _token(issuer_url, secret, resource):
    """An access token by client credentials (RFC 6749 §4.4), for one API (RFC 8707 §2)."""
    basic = base64.b64encode(f"bench-client:{secret}".encode()).decode()
    request = urllib.request.Request(
        f"{issuer_url}/oauth/token",
        data=f"grant_type=client_credentials&resource={resource}".encode(),
        headers={"Authorization": f"Basic {basic}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["access_token"]
