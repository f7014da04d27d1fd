"""The partner's issuer, as far as it is asked: introspection (RFC 7662) of a fixed set of tokens.

    python introspection.py PORT FOLDER

FOLDER holds its certificate `partner.pem`, the good tokens `partner.txt`, and `partner.secret`,
which who asks must show (HTTP Basic, RFC 6749 §2.3.1).
"""

import base64
import http.server
import json
import pathlib
import ssl
import sys
import time
import urllib.parse

from claims import PARTNER, PARTNER_AUDIENCE, SCOPE

PORT, FOLDER = int(sys.argv[1]), pathlib.Path(sys.argv[2])
GOOD = set((FOLDER / "partner.txt").read_text().split())
ASKER = "Basic " + base64.b64encode(b"gateway:" + (FOLDER / "partner.secret").read_bytes()).decode()


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        known = self.headers["Authorization"] == ASKER
        now, token = int(time.time()), form.get("token", [""])[0]
        answer = {"active": False}
        if token in GOOD:
            answer = {"active": True, "iss": PARTNER, "aud": PARTNER_AUDIENCE, "scope": SCOPE, "token_type": "Bearer"}
            answer |= {"sub": token[-8:], "client_id": token[-8:], "iat": now, "exp": now + 3600}
        text = json.dumps(answer).encode() if known else b""
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Answers)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(FOLDER / "partner.pem", FOLDER / "partner.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
