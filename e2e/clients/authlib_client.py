"""PyPI's Authlib with joserfc, as a web application in Python uses them.

`REQUESTS_CA_BUNDLE` names the CA of the server under test.
"""

import base64
import hashlib
import json
import os
import secrets
import subprocess
import time
import unittest
import urllib.parse

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from authlib.oidc.core import CodeIDToken
from authlib.oauth2.rfc6749.errors import OAuth2Error
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, import_key

FACTS = json.load(open(os.environ["FACTS"], encoding="utf-8"))
ISSUER = FACTS["issuer"]
ORDERS = FACTS["apis"]["orders"]
SCOPE = "openid profile email offline_access"


def fetched(url):
    answer = requests.get(url, timeout=30)
    answer.raise_for_status()
    return answer.json()


def metadata():
    return fetched(f"{ISSUER}/.well-known/openid-configuration")


# ANCHOR: client
class Brief(PrivateKeyJWT):
    """Authlib's assertions live an hour unless they are told otherwise; Doorward takes five minutes at most."""

    def sign(self, auth, token_endpoint):
        return private_key_jwt_sign(
            auth.client_secret, auth.client_id, token_endpoint, alg=self.alg, header=self.headers, expires_in=60
        )


def client(name, lasting=False, **more):
    it = FACTS["clients"][name]
    own = it["own"]
    method = it["auth_method"]
    found = OAuth2Session(
        name,
        own.get("secret") or (import_key(own["jwk"]) if "jwk" in own else None),
        token_endpoint_auth_method=method,
        code_challenge_method="S256",
        scope=more.pop("scope", SCOPE),
        redirect_uri=it["redirect_uris"][0] if "redirect_uris" in it else None,
        **more,
    )
    if method == "self_signed_tls_client_auth":
        # Who it is, the connection says; the form only names it (RFC 8705 §2).
        found.token_endpoint_auth_method = "none"
        found.cert = (os.environ["CLIENT_CERT"], os.environ["CLIENT_KEY"])
    if method == "private_key_jwt":
        key, kind = own["jwk"], PrivateKeyJWT if lasting else Brief
        found.register_client_auth_method(
            kind(metadata()["token_endpoint"], headers={"kid": key["kid"], "alg": key["alg"]}, alg=key["alg"])
        )
    return found
# ANCHOR_END: client


def person_goes(url, redirect_uri):
    """Where the browser of a person who logs in and allows is sent."""
    script = os.path.join(os.path.dirname(__file__), "person.mjs")
    command = [os.environ["NODE"], script, os.environ["FACTS"], url, redirect_uri]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def person_visits(url):
    """A person logs in and allows, on a page that leads nowhere."""
    script = os.path.join(os.path.dirname(__file__), "person.mjs")
    subprocess.run([os.environ["NODE"], script, os.environ["FACTS"], url], check=True, capture_output=True, timeout=60)


# ANCHOR: login
class Login:
    """A code flow up to the tokens."""

    def __init__(self, name, push=False, scope=SCOPE, **parameters):
        self.name, self.about = name, metadata()
        self.client = client(name, scope=scope)
        self.verifier, self.nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        url, self.state = self.client.create_authorization_url(
            self.about["authorization_endpoint"], code_verifier=self.verifier, nonce=self.nonce, prompt="consent", **parameters
        )
        self.url = self.pushed(url) if push else url
        self.answer = person_goes(self.url, self.client.redirect_uri)
        self.answered = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.answer).query))

    def pushed(self, url):
        """Sends the request itself, and leaves the browser a reference (RFC 9126)."""
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        secret = FACTS["clients"][self.name]["own"].get("secret")
        answer = requests.post(
            self.about["pushed_authorization_request_endpoint"],
            data=asked, auth=(self.name, secret) if secret else None, cert=self.client.cert, timeout=30,
        )
        answer.raise_for_status()
        short = {"client_id": self.name, "request_uri": answer.json()["request_uri"]}
        return f"{self.about['authorization_endpoint']}?{urllib.parse.urlencode(short)}"

    def redeem(self, **more):
        checks = {"code_verifier": self.verifier, "state": self.state, **more}
        return self.client.fetch_token(self.about["token_endpoint"], authorization_response=self.answer, **checks)

    def claims(self, token, nonce=None):
        """The ID token's claims, its signature and its words verified."""
        keys = KeySet.import_key_set(fetched(self.about["jwks_uri"]))
        decoded = jwt.decode(token["id_token"], keys, algorithms=["ES256", "RS256"])
        options = {"iss": {"essential": True, "value": ISSUER}, "aud": {"essential": True, "value": self.name}}
        parameters = {"nonce": nonce or self.nonce, "client_id": self.name, "access_token": token["access_token"]}
        claims = CodeIDToken(decoded.claims, decoded.header, options, parameters)
        claims.validate(leeway=5)
        return claims
# ANCHOR_END: login


class Authlib(unittest.TestCase):
    # ANCHOR: code
    def test_code_with_pkce_id_token_userinfo_and_refresh(self):
        for name in ("web", "web-post", "web-signed"):
            with self.subTest(name):
                login = Login(name)
                self.assertEqual(login.answered["iss"], ISSUER)
                token = login.redeem()
                claims = login.claims(token)
                about = login.client.get(login.about["userinfo_endpoint"]).json()
                self.assertEqual(about["sub"], claims["sub"])
                self.assertEqual(about["name"], FACTS["person"]["claims"]["name"])
                new = login.client.refresh_token(login.about["token_endpoint"], token["refresh_token"])
                self.assertNotEqual(new["refresh_token"], token["refresh_token"])
                login.client.get(login.about["userinfo_endpoint"]).raise_for_status()
    # ANCHOR_END: code

    def test_a_wrong_state_and_a_wrong_nonce_are_refused_by_the_client(self):
        login = Login("web")
        with self.assertRaisesRegex(OAuth2Error, "(?i)state"):
            login.redeem(state="another")
        token = login.redeem()
        with self.assertRaisesRegex(Exception, "nonce"):
            login.claims(token, nonce="another")

    def test_a_wrong_verifier_is_refused_by_the_server(self):
        login = Login("web")
        with self.assertRaises(OAuthError) as refusal:
            login.redeem(code_verifier=secrets.token_urlsafe(48))
        self.assertEqual(refusal.exception.error, "invalid_grant")

    # ANCHOR: refresh
    def test_an_expired_token_is_refreshed_on_the_way(self):
        login = Login("web")
        login.redeem()
        login.client.metadata["token_endpoint"] = login.about["token_endpoint"]
        login.client.token["expires_at"] = 1
        login.client.get(login.about["userinfo_endpoint"]).raise_for_status()
    # ANCHOR_END: refresh

    # ANCHOR: client_credentials
    def test_client_credentials_with_a_secret_and_with_a_key(self):
        for name in ("service", "service-signed"):
            with self.subTest(name):
                it = client(name, scope="orders:read")
                token = it.fetch_token(metadata()["token_endpoint"], grant_type="client_credentials", resource=ORDERS["audience"])
                self.assertEqual(token["token_type"].lower(), "bearer")
                self.assertIn("orders:read", token["scope"].split())
    # ANCHOR_END: client_credentials

    def test_an_assertion_that_lives_an_hour_is_refused(self):
        if FACTS["peer"]:
            self.skipTest("the peer takes it")
        it = client("service-signed", lasting=True, scope="orders:read")
        with self.assertRaises(OAuthError) as refusal:
            it.fetch_token(metadata()["token_endpoint"], grant_type="client_credentials", resource=ORDERS["audience"])
        self.assertEqual(refusal.exception.error, "invalid_client")

    # ANCHOR: revocation
    def test_introspection_and_revocation(self):
        login = Login("web")
        token = login.redeem()
        about = login.client.introspect_token(login.about["introspection_endpoint"], token["access_token"]).json()
        self.assertTrue(about["active"])
        self.assertEqual(about["client_id"], "web")
        login.client.revoke_token(login.about["revocation_endpoint"], token["refresh_token"], "refresh_token").raise_for_status()
        gone = login.client.introspect_token(login.about["introspection_endpoint"], token["access_token"]).json()
        self.assertEqual(gone, {"active": False})
        with self.assertRaises((OAuthError, OAuth2Error)):
            login.client.refresh_token(login.about["token_endpoint"], token["refresh_token"])
    # ANCHOR_END: revocation

    def test_a_wrong_secret_is_refused(self):
        it = client("service", scope="orders:read")
        it.client_secret = "wrong"
        with self.assertRaises(OAuthError) as refusal:
            it.fetch_token(metadata()["token_endpoint"], grant_type="client_credentials")
        self.assertEqual(refusal.exception.error, "invalid_client")


class ByHand(unittest.TestCase):
    """What Authlib has no call for, with requests and joserfc."""

    # ANCHOR: par
    def test_a_pushed_request(self):
        login = Login("web", push=True)
        self.assertEqual(set(urllib.parse.parse_qs(urllib.parse.urlsplit(login.url).query)), {"client_id", "request_uri"})
        self.assertEqual(login.claims(login.redeem())["aud"], "web")

    # ANCHOR_END: par

    # ANCHOR: device
    def test_a_device(self):
        about, scope = metadata(), "openid orders:read"
        tv = client("tv", scope=scope)
        form = {"client_id": "tv", "scope": scope, "resource": ORDERS["audience"]}
        asked = requests.post(about["device_authorization_endpoint"], data=form, timeout=30).json()
        poll = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": asked["device_code"]}
        with self.assertRaises(OAuthError) as refusal:
            tv.fetch_token(about["token_endpoint"], **poll)
        self.assertEqual(refusal.exception.error, "authorization_pending")
        person_visits(asked["verification_uri_complete"])
        time.sleep(asked.get("interval", 5))
        token = tv.fetch_token(about["token_endpoint"], **poll)
        self.assertIn("openid", token["scope"].split())

    # ANCHOR_END: device

    # ANCHOR: dpop
    def test_dpop(self):
        url, key = metadata()["token_endpoint"], ECKey.generate_key("P-256")
        it = FACTS["clients"]["service-dpop"]

        def proof(method, to, **more):
            public = {name: value for name, value in key.as_dict(private=False).items() if name in ("kty", "crv", "x", "y")}
            about = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": to, "iat": int(time.time()), **more}
            return jwt.encode({"typ": "dpop+jwt", "alg": "ES256", "jwk": public}, about, key)

        def ask(**more):
            now = int(time.time())
            about = {"iss": "service-dpop", "sub": "service-dpop", "aud": ISSUER, "iat": now, "exp": now + 60}
            own = import_key(it["own"]["jwk"])
            assertion = jwt.encode({"alg": "ES256", "kid": it["own"]["jwk"]["kid"]}, {**about, "jti": secrets.token_urlsafe(16)}, own)
            form = {"grant_type": "client_credentials", "resource": ORDERS["audience"], "scope": "orders:read",
                    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion": assertion}
            return requests.post(url, data=form, headers={"DPoP": proof("POST", url, **more)}, timeout=30)

        first = ask()
        self.assertEqual(first.json()["error"], "use_dpop_nonce")
        token = ask(nonce=first.headers["DPoP-Nonce"]).json()["access_token"]
        mine = f"{ORDERS['url']}/mine"
        ath = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
        bound = {"Authorization": f"DPoP {token}", "DPoP": proof("GET", mine, ath=ath)}
        if FACTS["peer"]:
            return
        self.assertEqual(requests.get(mine, headers=bound, timeout=30).status_code, 200)
        self.assertEqual(requests.get(mine, headers=bound, timeout=30).status_code, 401)  # a proof is used once

    # ANCHOR_END: dpop

    # ANCHOR: mtls
    def test_a_certificate_proves_the_client_and_binds_its_tokens(self):
        if FACTS["peer"]:
            self.skipTest("the peer's tokens for UserInfo are no JWTs")
        login = Login("bank-certificate", push=True)
        token = login.redeem()
        claims = jwt.decode(token["access_token"], KeySet.import_key_set(fetched(login.about["jwks_uri"]))).claims
        with open(os.environ["CLIENT_CERT"], encoding="ascii") as pem:
            der = base64.b64decode("".join(pem.read().splitlines()[1:-1]))
        thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
        self.assertEqual(claims["cnf"]["x5t#S256"], thumbprint)

    # ANCHOR_END: mtls

    # ANCHOR: exchange
    def test_token_exchange(self):
        if FACTS["peer"]:
            self.skipTest("the peer knows no token exchange")
        stock = FACTS["apis"]["stock"]["audience"]
        login = Login("web", scope="openid orders:read stock:read")
        shown = login.redeem()
        api = client("orders-api", scope="stock:read")
        exchanged = api.fetch_token(
            login.about["token_endpoint"],
            grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
            subject_token=shown["access_token"],
            subject_token_type="urn:ietf:params:oauth:token-type:access_token",
            resource=stock,
        )
        claims = jwt.decode(exchanged["access_token"], KeySet.import_key_set(fetched(login.about["jwks_uri"]))).claims
        self.assertEqual((claims["aud"], claims["act"]["sub"]), (stock, "orders-api"))

    # ANCHOR_END: exchange

    # ANCHOR: logout
    def test_logout(self):
        login = Login("web")
        token = login.redeem()
        bye = FACTS["clients"]["web"]["post_logout_redirect_uris"][0]
        asked = {"id_token_hint": token["id_token"], "post_logout_redirect_uri": bye, "state": "bye"}
        url = f"{login.about['end_session_endpoint']}?{urllib.parse.urlencode(asked)}"
        self.assertEqual(person_goes(url, bye), f"{bye}?state=bye")

    # ANCHOR_END: logout


if __name__ == "__main__":
    unittest.main(verbosity=2)
