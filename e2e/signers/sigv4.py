"""botocore signs with keys that `doorward secret create` made, and one flipped bit anywhere refuses."""

import io
import unittest
from urllib.parse import quote

import botocore.session
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from door import FACTS, seen, send

REGION = "eu-central-1"
PLAIN, TLS = FACTS["plain"], FACTS["tls"]
KEY = Credentials(FACTS["sigv4"]["id"], FACTS["sigv4"]["secret"])


def signed(method, url, body=b"", headers=None, auth=SigV4Auth, service="execute-api", key=KEY):
    """A request that botocore signed: method, URL, fields, body."""
    request = AWSRequest(method=method, url=url, data=body, headers=headers or {})
    auth(key, service, REGION).add_auth(request)
    prepared = request.prepare()
    return prepared.method, prepared.url, dict(prepared.headers.items()), body


def client(service, endpoint, **more):
    """A client of botocore, as its users make one."""
    config = Config(retries={"max_attempts": 0}, s3={"addressing_style": "path", **more.pop("s3", {})}, **more)
    return botocore.session.get_session().create_client(
        service, region_name=REGION, endpoint_url=endpoint, config=config, verify=FACTS["ca"],
        aws_access_key_id=KEY.access_key, aws_secret_access_key=KEY.secret_key,
    )


class Requests(unittest.TestCase):
    def test_get_with_a_query(self):
        status, answer = send(*signed("GET", f"{PLAIN}/orders?b=2&a=x%20y&a=%C3%A4"))
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["target"], "/orders?b=2&a=x%20y&a=%C3%A4")

    def test_post_json(self):
        body = b'{"item":"tea"}'
        status, answer = send(*signed("POST", f"{PLAIN}/orders", body, {"Content-Type": "application/json"}))
        self.assertEqual((status, answer["text"]), (200, body.decode()), answer)
        self.assertNotIn("authorization", answer["headers"])

    def test_a_signature_passes_once(self):
        call = signed("GET", f"{PLAIN}/orders?once=1")
        self.assertEqual(send(*call)[0], 200)
        self.assertEqual(send(*call)[0], 401)

    def test_paths_are_encoded_twice_for_all_services_and_once_for_s3(self):
        for name in ("a b", "ä", "a+b", "a%b", "a/b"):
            url = f"{PLAIN}/orders/{quote(name, safe='')}"
            for service, auth in (("execute-api", SigV4Auth), ("s3", S3SigV4Auth)):
                status, answer = send(*signed("GET", url, auth=auth, service=service))
                self.assertEqual(status, 200, (name, service, answer))

    def test_presigned(self):
        for service, auth in (("execute-api", SigV4QueryAuth), ("s3", S3SigV4QueryAuth)):
            # Signers of object storage leave the body of a presigned URL unsigned.
            at = f"{PLAIN}/orders" if service == "execute-api" else f"{PLAIN}/store/cup"
            call = signed("GET", f"{at}?a=1", auth=lambda *all, auth=auth: auth(*all, expires=600), service=service)
            for _ in range(2):
                status, answer = send(*call)
                self.assertEqual(status, 200, (service, answer))
        strict = signed("GET", f"{PLAIN}/orders", auth=S3SigV4QueryAuth, service="s3")
        self.assertEqual(send(*strict)[0], 401, "what is not signed passes only where the API says so")

    def test_presigned_by_a_client(self):
        url = client("s3", f"{PLAIN}/store").generate_presigned_url(
            "get_object", Params={"Bucket": "cups", "Key": "a b.txt"}, ExpiresIn=600)
        self.assertEqual(send("GET", url, {})[0], 200)
        self.assertEqual(send("GET", url.replace("X-Amz-Expires=600", "X-Amz-Expires=601"), {})[0], 401)
        long = client("s3", f"{PLAIN}/store").generate_presigned_url(
            "get_object", Params={"Bucket": "cups", "Key": "a"}, ExpiresIn=3600)
        self.assertEqual(send("GET", long, {})[0], 401, "longer than the API allows")

    def test_session_tokens_are_refused(self):
        key = Credentials(KEY.access_key, KEY.secret_key, "a session")
        self.assertEqual(send(*signed("GET", f"{PLAIN}/orders", key=key))[0], 401)
        self.assertEqual(send(*signed("GET", f"{PLAIN}/orders", auth=SigV4QueryAuth, key=key))[0], 401)

    def test_another_region_service_or_secret_is_refused(self):
        request = AWSRequest(method="GET", url=f"{PLAIN}/orders")
        SigV4Auth(KEY, "execute-api", "eu-west-1").add_auth(request)
        prepared = request.prepare()
        self.assertEqual(send("GET", prepared.url, dict(prepared.headers.items()))[0], 401)
        self.assertEqual(send(*signed("GET", f"{PLAIN}/orders", service="dynamodb"))[0], 401)
        other = Credentials(KEY.access_key, KEY.secret_key[:-1] + "!")
        self.assertEqual(send(*signed("GET", f"{PLAIN}/orders", key=other))[0], 401)


class Clients(unittest.TestCase):
    """Whole clients of botocore, with what they do by themselves."""

    def test_a_function_is_invoked(self):
        answer = client("lambda", PLAIN).invoke(FunctionName="brew", Payload=b'{"cups":2}')
        self.assertEqual(answer["StatusCode"], 200)
        self.assertIn(b'cups', answer["Payload"].read())

    def test_objects_stream_up_in_chunks_with_a_trailer(self):
        body = bytes(range(256)) * 4096
        before = seen()
        for endpoint in (f"{PLAIN}/store", f"{TLS}/store"):
            for s3 in ({}, {"payload_signing_enabled": True}):
                # Each its own: equal calls within a second would have one signature.
                key = f"tea leaves {len(endpoint)} {len(s3)}"
                answer = client("s3", endpoint, s3=s3).put_object(Bucket="cups", Key=key, Body=io.BytesIO(body))
                self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], 200)
        self.assertEqual(seen()["whole"], before["whole"] + 4)

    def test_where_bodies_must_be_signed_an_unsigned_trailer_is_refused(self):
        before = seen()
        with self.assertRaises(ClientError) as refused:
            client("s3", f"{TLS}/orders").put_object(Bucket="cups", Key="tea", Body=io.BytesIO(b"leaves"))
        self.assertEqual(refused.exception.response["ResponseMetadata"]["HTTPStatusCode"], 401)
        self.assertEqual(seen(), before)

    def test_where_bodies_must_be_signed_a_client_that_signs_them_passes(self):
        config = {"request_checksum_calculation": "when_required"}
        answer = client("s3", f"{PLAIN}/orders", **config).put_object(Bucket="cups", Key="tea", Body=b"leaves")
        self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], 200)


def flipped(text, at):
    """The text with the lowest bit of one letter flipped."""
    return text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1:]


class OneFlippedBit(unittest.TestCase):
    """Whatever is changed after signing, the answer is a refusal, and nothing of it reaches the upstream."""

    BODY = b'{"item":"tea"}'

    def call(self):
        fields = {"Content-Type": "application/json", "X-Amz-Meta-Colour": "green"}
        return signed("POST", f"{PLAIN}/orders/tea-leaves?dry=1&cup=two", self.BODY, fields)

    def refused(self, what, call, codes=(401,)):
        before = seen()
        status, answer = send(*call)
        self.assertIn(status, codes, (what, answer))
        self.assertEqual(seen(), before, what)

    def test_the_call_itself_passes(self):
        self.assertEqual(send(*self.call())[0], 200)

    def test_the_method(self):
        _, url, fields, body = self.call()
        for method in ("PUT", "GET", "DELETE", "PATCH"):
            self.refused(method, (method, url, fields, body))

    def test_every_letter_of_path_and_query(self):
        method, url, fields, body = self.call()
        start = url.index("/orders/") + len("/orders/")
        for at in range(start, len(url)):
            # A flipped letter may make a target that is refused before anybody is asked.
            self.refused(url[at:], (method, flipped(url, at), fields, body), (400, 401))

    def test_the_query_beside_itself(self):
        method, url, fields, body = self.call()
        for query in ("dry=1", "dry=1&cup=two&cup=two", "dry=1&cup=two&", "dry=0&cup=two", ""):
            self.refused(query, (method, f"{url.split('?')[0]}?{query}", fields, body))

    def test_every_signed_field(self):
        method, url, fields, body = self.call()
        names = fields["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        self.assertEqual(names, ["content-type", "host", "x-amz-date", "x-amz-meta-colour"])
        for name in names:
            own = {field.lower(): value for field, value in fields.items()}
            own.setdefault("host", url.split("/")[2])
            for at in range(len(own[name])):
                changed = {**own, name: flipped(own[name], at)}
                self.refused((name, at), (method, url, changed, body), (400, 401))
            if name != "host":
                gone = {field: value for field, value in own.items() if field != name}
                self.refused((name, "gone"), (method, url, gone, body))

    def test_a_field_of_amazon_s_that_nobody_signed(self):
        method, url, fields, body = self.call()
        self.refused("added", (method, url, {**fields, "X-Amz-Meta-Size": "large"}, body))

    def test_every_byte_of_the_body(self):
        method, url, fields, body = self.call()
        for at in range(len(body)):
            changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]
            self.refused(at, (method, url, fields, changed))
        self.refused("shorter", (method, url, fields, body[:-1]))
        self.refused("longer", (method, url, fields, body + b" "))

    def test_every_letter_of_the_authorization(self):
        method, url, fields, body = self.call()
        whole = fields["Authorization"]
        # Key id, date, region, service, names and signature. A changed scheme is another one.
        for at in range(len("AWS4-HMAC-SHA256 Credential="), len(whole)):
            changed = {**fields, "Authorization": flipped(whole, at)}
            self.refused(whole[at:], (method, url, changed, body), (400, 401))

    def test_every_letter_of_a_presigned_query(self):
        auth = lambda *all: SigV4QueryAuth(*all, expires=600)
        method, url, fields, body = signed("GET", f"{PLAIN}/orders/tea?cup=two", auth=auth)
        self.assertEqual(send(method, url, fields)[0], 200)
        for at in range(url.index("/orders/") + len("/orders/"), len(url)):
            self.refused(url[at:], (method, flipped(url, at), fields, body), (400, 401))


if __name__ == "__main__":
    unittest.main(verbosity=1)
