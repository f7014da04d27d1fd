"""PyPI's Authlib with joserfc, as a web application in Python uses them.

`REQUESTS_CA_BUNDLE` names the CA of the server under test.
"""

import json
import os
import secrets
import subprocess
import unittest
import urllib.parse

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from authlib.oidc.core import CodeIDToken
from authlib.oauth2.rfc6749.errors import OAuth2Error
from joserfc import jwt
from joserfc.jwk import KeySet, import_key

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
    if method == "private_key_jwt":
        key, kind = own["jwk"], PrivateKeyJWT if lasting else Brief
        found.register_client_auth_method(
            kind(metadata()["token_endpoint"], headers={"kid": key["kid"], "alg": key["alg"]}, alg=key["alg"])
        )
    return found


def person_goes(url, redirect_uri):
    """Where the browser of a person who logs in and allows is sent."""
    script = os.path.join(os.path.dirname(__file__), "person.mjs")
    command = [os.environ["NODE"], script, os.environ["FACTS"], url, redirect_uri]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


class Login:
    """A code flow up to the tokens."""

    def __init__(self, name, **parameters):
        self.name, self.about = name, metadata()
        self.client = client(name)
        self.verifier, self.nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        url, self.state = self.client.create_authorization_url(
            self.about["authorization_endpoint"], code_verifier=self.verifier, nonce=self.nonce, prompt="consent", **parameters
        )
        self.answer = person_goes(url, self.client.redirect_uri)
        self.answered = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.answer).query))

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


class Authlib(unittest.TestCase):
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

    def test_an_expired_token_is_refreshed_on_the_way(self):
        login = Login("web")
        login.redeem()
        login.client.metadata["token_endpoint"] = login.about["token_endpoint"]
        login.client.token["expires_at"] = 1
        login.client.get(login.about["userinfo_endpoint"]).raise_for_status()

    def test_client_credentials_with_a_secret_and_with_a_key(self):
        for name in ("service", "service-signed"):
            with self.subTest(name):
                it = client(name, scope="orders:read")
                token = it.fetch_token(metadata()["token_endpoint"], grant_type="client_credentials", resource=ORDERS["audience"])
                self.assertEqual(token["token_type"].lower(), "bearer")
                self.assertIn("orders:read", token["scope"].split())

    def test_an_assertion_that_lives_an_hour_is_refused(self):
        if FACTS["peer"]:
            self.skipTest("the peer takes it")
        it = client("service-signed", lasting=True, scope="orders:read")
        with self.assertRaises(OAuthError) as refusal:
            it.fetch_token(metadata()["token_endpoint"], grant_type="client_credentials", resource=ORDERS["audience"])
        self.assertEqual(refusal.exception.error, "invalid_client")

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

    def test_a_wrong_secret_is_refused(self):
        it = client("service", scope="orders:read")
        it.client_secret = "wrong"
        with self.assertRaises(OAuthError) as refusal:
            it.fetch_token(metadata()["token_endpoint"], grant_type="client_credentials")
        self.assertEqual(refusal.exception.error, "invalid_client")


if __name__ == "__main__":
    unittest.main(verbosity=2)
