"""How the Python signers reach the gateway: what they signed is sent byte by byte as they signed it."""

import http.client
import json
import os
import ssl
from urllib.parse import urlsplit

with open(os.environ["FACTS"], encoding="utf-8") as file:
    FACTS = json.load(file)


def seen():
    """What came through so far, as the upstream counts it."""
    connection = http.client.HTTPConnection("127.0.0.1", FACTS["upstream"], timeout=30)
    connection.request("GET", "/seen")
    answer = json.load(connection.getresponse())
    connection.close()
    return answer


def send(method, url, headers, body=b"", chunked=False):
    """Sends a request and says what came back: the status, and the answer read as JSON if it is some."""
    parts = urlsplit(url)
    target = url.split(parts.netloc, 1)[1] or "/"
    if parts.scheme == "https":
        trust = ssl.create_default_context(cafile=FACTS["ca"])
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=60, context=trust)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    names = {name.lower() for name in headers}
    # A target that was changed on purpose goes out as it is.
    connection._validate_path = lambda _: None
    connection.putrequest(method, target, skip_host="host" in names, skip_accept_encoding=True)
    for name, value in headers.items():
        if name.lower() != "content-length":
            connection.putheader(name, value)
    if body or method in ("POST", "PUT"):
        connection.putheader("content-length", str(len(body)))
    connection.endheaders(body or None)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text
