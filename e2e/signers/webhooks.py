"""PyPI's standardwebhooks, both ways: it signs and the gateway verifies; `doorward sign` signs and it verifies."""

import http.server
import json
import os
import queue
import subprocess
import tempfile
import threading
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


class Outgoing(unittest.TestCase):
    def test_what_doorward_sends_the_library_verifies_and_gets_again_until_it_took_it(self):
        came, answers = queue.Queue(), [503, 200]

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                came.put((dict(self.headers.items()), body))
                self.send_response(answers.pop(0))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        secret = declare("python", f"http://127.0.0.1:{server.server_port}/in")
        data = {"id": 17, "total": "12.50", "who": "Zoë"}
        doorward("webhook", "send", "python", "--type", "order.paid", input=json.dumps(data))
        tries = [came.get(timeout=30) for _ in range(2)]
        ids = set()
        for headers, body in tries:
            self.assertEqual(Webhook(secret).verify(body, headers)["data"], data)
            self.assertEqual(body, tries[0][1])
            ids.add({name.lower(): value for name, value in headers.items()}["webhook-id"])
        self.assertEqual(len(ids), 1)
        with self.assertRaises(Exception):
            Webhook(OWN["secret"]).verify(tries[0][1], tries[0][0])


def doorward(*arguments, **more):
    ran = subprocess.run([os.environ["DOORWARD"], *arguments], capture_output=True, text=True, check=True, **more)
    return ran.stdout


def declare(name, url):
    """An endpoint of ours; its secret."""
    made = json.loads(doorward("secret", "create", "--scheme", "webhook", "--application", "shop", "--label", name,
                               "--output", "json"))
    document = {"apiVersion": "doorward/v1", "kind": "WebhookEndpoint", "metadata": {"name": name},
                "spec": {"url": url, "application": "shop", "events": ["order.*"], "retries": ["200ms", "200ms"],
                         "signing_key": made["credential"]["signing"]["key_id"]}}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(document, file)
        file.flush()
        doorward("apply", "--yes", "-f", file.name)
    return made["secret"]


if __name__ == "__main__":
    unittest.main(verbosity=1)
