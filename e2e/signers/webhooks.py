"""PyPI's standardwebhooks, both ways: it signs and the gateway verifies; `doorward sign` signs and it verifies."""

import json
import os
import subprocess
import tempfile
import unittest
import uuid
from datetime import datetime, timedelta, timezone

from standardwebhooks import Webhook

from door import FACTS, seen, send

URL = f"{FACTS['plain']}/hooks/standard"
BODY = '{"type":"order.paid"}'
OWN = FACTS["hooks"]["standard"]


def delivery(message=None, at=None, body=BODY, secret=OWN["secret"]):
    message, at = message or f"msg_{uuid.uuid4().hex}", at or datetime.now(timezone.utc)
    signature = Webhook(secret).sign(msg_id=message, timestamp=at, data=body)
    fields = {"webhook-id": message, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
    return "POST", URL, {**fields, "Content-Type": "application/json"}, body.encode()


class Deliveries(unittest.TestCase):
    def test_a_delivery_passes(self):
        status, answer = send(*delivery())
        self.assertEqual((status, answer["text"]), (200, BODY), answer)
        self.assertNotIn("webhook-signature", answer["headers"])
        self.assertIn("webhook-id", answer["headers"])
        self.assertEqual(answer["headers"]["doorward-principal"], "service")

    def test_what_does_not_hold_is_refused(self):
        before = seen()
        method, url, fields, body = delivery()
        now = datetime.now(timezone.utc)
        for what, call in {
            "body": (method, url, fields, body + b" "),
            "id": (method, url, {**fields, "webhook-id": "msg_other"}, body),
            "time": (method, url, {**fields, "webhook-timestamp": str(int(fields["webhook-timestamp"]) + 1)}, body),
            "secret": delivery(secret="whsec_" + "A" * 43 + "="),
            "too old": delivery(at=now - timedelta(minutes=6)),
            "too new": delivery(at=now + timedelta(minutes=6)),
        }.items():
            self.assertEqual(send(*call)[0], 401, what)
        self.assertEqual(seen(), before)

    def test_two_signatures_one_of_them_ours(self):
        method, url, fields, body = delivery()
        _, _, theirs, _ = delivery(fields["webhook-id"], secret="whsec_" + "A" * 43 + "=")
        both = {**fields, "webhook-signature": f"{theirs['webhook-signature']} {fields['webhook-signature']}"}
        self.assertEqual(send(method, url, both, body)[0], 200)

    def test_the_very_same_signature_passes_once_and_another_try_is_acknowledged(self):
        message, now = f"msg_{uuid.uuid4().hex}", datetime.now(timezone.utc)
        first = delivery(message, now - timedelta(seconds=5))
        before = seen()
        self.assertEqual(send(*first)[0], 200)
        self.assertEqual(send(*first)[0], 401)
        status, answer = send(*delivery(message, now))
        self.assertEqual((status, answer), (200, b""))
        self.assertEqual(seen()["whole"], before["whole"] + 1)

    def test_what_the_upstream_did_not_take_gets_through_the_next_time(self):
        message, now = f"msg_{uuid.uuid4().hex}", datetime.now(timezone.utc)
        for seconds, answer in ((3, 503), (2, 500), (1, 200)):
            method, url, fields, body = delivery(message, now - timedelta(seconds=seconds))
            self.assertEqual(send(method, url, {**fields, "X-Answer": str(answer)}, body)[0], answer)
        self.assertEqual(send(*delivery(message, now)), (200, b""))

    def test_what_doorward_signs_the_library_verifies(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(BODY)
            file.flush()
            signed = subprocess.run(
                [os.environ["DOORWARD"], "sign", "webhook", "--style", "standard-webhooks", "--body-file", file.name,
                 "--output", "json", URL],
                input=OWN["secret"], capture_output=True, text=True, check=True)
        fields = dict(json.loads(signed.stdout)["headers"])
        self.assertEqual(Webhook(OWN["secret"]).verify(BODY, fields), json.loads(BODY))
        with self.assertRaises(Exception):
            Webhook(OWN["secret"]).verify(BODY + " ", fields)


if __name__ == "__main__":
    unittest.main(verbosity=1)
