"""The proof before a measurement: what a program must refuse, and that it passes what is good."""

import dataclasses
import http.client
import json
import pathlib
import ssl

from .claims import BODY

#: The lines that a proof uses up where each call has a signature of its own.
USED = 3


class NotRefused(Exception):
    """A program passed what it must refuse, or refused what it must pass."""


@dataclasses.dataclass(frozen=True)
class Call:
    """A single call, to ask for its status."""

    port: int
    tls: bool
    path: str
    body: str | None = None
    #: Certificate and key of the client, without the ends of their names.
    certificate: pathlib.Path | None = None

    def status(self, fields):
        """The status of the answer; raises `OSError` or `HTTPException` where none comes."""
        if self.tls:
            context = ssl._create_unverified_context()  # A certificate made for this run, on loopback.
            if self.certificate:
                context.load_cert_chain(f"{self.certificate}.pem", f"{self.certificate}.key")
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        fields = {"Content-Type": "application/json", **fields} if self.body else fields
        try:
            connection.request("POST" if self.body else "GET", self.path, self.body, fields)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()


def lines(calls, count):
    """The header fields of the first calls, `count` of them or as many as there are."""
    if not calls.file:
        return [{}] * count
    with open(calls.file, encoding="ascii") as file:
        texts = [text.rstrip("\n") for _, text in zip(range(count), file)]
    return [_fields(calls, text.split("\t")) for text in texts]


def prove(call, kind, calls, made):
    """Nothing is measured that does not check what it says it checks."""
    given = lines(calls, USED)
    good, spare, third = (given * USED)[:USED]
    bad = []
    if kind.signed:
        if call.status(good) != 200:
            raise NotRefused("a good signature was refused")
        bad.append(("used before", call, good))
    if kind.fields:
        bad += [("absent", call, {}), ("garbage", call, _fields(calls, ["garbage"] * len(kind.fields)))]
    for name, value in spare.items():
        bad.append((f"a changed {name}", call, {**spare, name: _changed(value)}))
        if len(spare) > 1:
            bad.append((f"without {name}", call, {other: value for other, value in spare.items() if other != name}))
    if kind.fields and call.body:
        # Such a signature counts as used: it holds for the head, which comes before the body.
        bad.append(("another body", dataclasses.replace(call, body=BODY.replace("a", "b")), third))
    if kind.certificate:
        bad.append(("without a certificate", dataclasses.replace(call, certificate=None), spare))
        for name in ("stranger", "ended"):
            bad.append((f"a certificate: {name}", dataclasses.replace(call, certificate=made / name), spare))
    if kind.file == "seen.txt":
        refused = json.loads((made / "refused.json").read_text())
        bad += [(what, call, _fields(calls, [token])) for what, token in refused.items()]
    for what, attempt, fields in bad:
        status = attempt.status(fields)
        # Envoy answers 403 to a token for another audience.
        accepted = (401, 403) if what == "for another audience" else (401,)
        if status not in accepted:
            raise NotRefused(f"with a credential that is wrong ({what}) it answered {status}, not 401")
    if call.status(spare) != 200:
        raise NotRefused("a good credential was refused after bad ones")


def _fields(calls, values):
    named = (field.split(": ", 1) for field in calls.fields)
    return {name: prefix + value for (name, prefix), value in zip(named, values, strict=True)}


def _changed(value):
    """The same text with another character near its end, where signatures stand.

    What follows a PASETO's signature is a footer, with a point between (version 4, *Message Format*).
    """
    at = (value.rindex(".") if "v4.public." in value else len(value)) - min(10, len(value))
    return value[:at] + ("1" if value[at] != "1" else "2") + value[at + 1 :]
