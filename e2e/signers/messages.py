"""Python's http-message-signatures signs requests (RFC 9421), in three algorithms."""

import base64
import hashlib
import unittest
import uuid

import http_message_signatures as rfc9421
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from http_message_signatures import algorithms

from door import FACTS, seen, send

URL = f"{FACTS['plain']}/orders?dry=1"
BODY = b'{"item":"tea"}'
ALL = {
    "hmac": algorithms.HMAC_SHA256,
    "ed25519": algorithms.ED25519,
    "p256": algorithms.ECDSA_P256_SHA256,
}


class Keys(rfc9421.HTTPSignatureKeyResolver):
    def __init__(self, own):
        self.own = own

    def resolve_private_key(self, key_id):
        if "secret" in self.own:
            return self.own["secret"].encode()
        with open(self.own["file"], "rb") as file:
            return load_pem_private_key(file.read(), password=None)

    def resolve_public_key(self, key_id):
        raise NotImplementedError


class Message:
    def __init__(self, method, url, headers):
        self.method, self.url, self.headers = method, url, headers


def digest(body):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def signed(name, method="POST", url=URL, body=BODY, covered=None):
    message = Message(method, url, {"Host": url.split("/")[2]})
    more = {}
    if body:
        message.headers["Content-Type"] = "application/json"
        # The library adds the digest and covers it, unless somebody else did.
        more = {"use_existing_digest": True} if covered else {"body": body}
        if covered:
            message.headers["Content-Digest"] = digest(body)
    covered = covered or ["@method", "@authority", "@path", "@query"] + (["content-type"] if body else [])
    own = FACTS["messages"][name]
    rfc9421.HTTPMessageSigner(signature_algorithm=ALL[name], key_resolver=Keys(own)).sign(
        message, key_id=own["id"], nonce=uuid.uuid4().hex, covered_component_ids=covered, **more)
    return method, url, message.headers, body


class Signatures(unittest.TestCase):
    def test_each_algorithm_passes(self):
        for name in ALL:
            status, answer = send(*signed(name))
            self.assertEqual((status, answer["text"]), (200, BODY.decode()), name)
            self.assertNotIn("signature", answer["headers"])
            self.assertEqual(send(*signed(name, "GET", body=b""))[0], 200, name)

    def test_what_is_changed_afterwards_is_refused(self):
        before = seen()
        for name in ALL:
            method, url, fields, body = signed(name)
            other = {**fields, "Content-Digest": digest(b'{"item":"tee"}')}
            for what, call in {
                "method": ("PUT", url, fields, body),
                "path": (method, url.replace("/orders", "/orders/1"), fields, body),
                "query": (method, url.replace("dry=1", "dry=0"), fields, body),
                "body": (method, url, fields, b'{"item":"tee"}'),
                "body and digest": (method, url, other, b'{"item":"tee"}'),
                "type": (method, url, {**fields, "Content-Type": "text/plain"}, body),
                "created": (method, url, {**fields, "Signature-Input": fields["Signature-Input"].replace("created=1", "created=2")}, body),
            }.items():
                status, answer = send(*call)
                self.assertEqual(status, 401, (name, what, answer))
            _, _, theirs, _ = signed(name)
            mixed = {**fields, "Signature": theirs["Signature"]}
            self.assertEqual(send(method, url, mixed, body)[0], 401, name)
        self.assertEqual(seen(), before)

    def test_a_signature_passes_once(self):
        for name in ALL:
            call = signed(name)
            self.assertEqual([send(*call)[0] for _ in range(2)], [200, 401], name)

    def test_what_covers_too_little_is_refused(self):
        before = seen()
        for name in ALL:
            for covered in (["@method", "@authority", "@path"], ["@method", "@authority", "@path", "@query"]):
                self.assertEqual(send(*signed(name, covered=covered))[0], 401, (name, covered))
        self.assertEqual(seen(), before)


if __name__ == "__main__":
    unittest.main(verbosity=1)
