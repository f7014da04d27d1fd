"""What is measured: each case is a subject, what its calls carry, and with or without TLS."""

import dataclasses

from .credentials import ISSUED_TOKENS
from .doorward import Doorward
from .kinds import KINDS
from .peers import Envoy, Haproxy, Nginx

#: Marks a case in which no token is used twice.
NEVER_SEEN = 0

#: Tokens made for the cases in which they come back.
SEEN_TOKENS = 10_000


@dataclasses.dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    subject: object
    #: A name of `KINDS`.
    carries: str = "none"
    #: How many distinct tokens take turns; `NEVER_SEEN`: as many as calls.
    tokens: int | None = None
    tls: bool = False
    #: Whether a relay stands between load and subject, which calls it over TLS.
    relayed: bool = False

    @property
    def kind(self):
        """What its calls carry."""
        return KINDS[self.carries]

    @property
    def once(self):
        """Whether nothing that it sends is sent twice."""
        return self.kind.signed or self.tokens == NEVER_SEEN

    @property
    def own_plain(self):
        """The name of the same program's case without a credential, that is called in the same way."""
        ways = {", POST 1 KB": self.kind.post, ", TLS": self.tls, ", relayed": self.relayed}
        return f"{self.subject.name}, plain" + "".join(way for way, holds in ways.items() if holds)


def all_cases():
    """Every case, in the order of the table."""
    nginx, haproxy, envoy = Nginx(), Haproxy(jwt=False), Envoy(jwt=False)
    cases = [
        Case("nginx, plain", nginx),
        Case("nginx, plain, POST 1 KB", nginx, "post"),
        Case("nginx, plain, TLS", nginx, tls=True),
        Case("HAProxy, plain", haproxy),
        # Without a cache of tokens it is all the same to HAProxy how many there are.
        Case("HAProxy, JWT never seen", Haproxy(jwt=True), "jwt", NEVER_SEEN),
        Case("Envoy, plain", envoy),
        Case("Envoy, JWT never seen, no cache", Envoy(jwt=True), "jwt", NEVER_SEEN),
        *_jwt_cases("Envoy", Envoy(jwt=True, cache=True), ", cache"),
    ]
    doorward, recorded = Doorward(), Doorward(record=True)
    cases += [
        Case("Doorward, plain", doorward),
        Case("Doorward, plain, recorded", recorded),
        Case("Doorward, API key", doorward, "key"),
        *_jwt_cases("Doorward", doorward, ""),
        Case("Doorward, JWT, 100 tokens, recorded", recorded, "jwt", 100),
        Case("Doorward, JWE, 100 tokens", doorward, "encrypted", ISSUED_TOKENS),
        Case("Doorward, PASETO, 100 tokens", doorward, "paseto", ISSUED_TOKENS),
        Case("Doorward, opaque, 100 tokens", doorward, "opaque", ISSUED_TOKENS),
        Case("Doorward, foreign opaque, 100 tokens", doorward, "partner", ISSUED_TOKENS),
        Case("Doorward, DPoP, each call its own proof", doorward, "dpop"),
        Case("Doorward, HMAC, each call its own", doorward, "hmac"),
        Case("Doorward, SigV4, each call its own", doorward, "sigv4"),
        Case("Doorward, RFC 9421 Ed25519, each call its own", doorward, "message"),
        Case("Doorward, client-signed JWT, each call its own", doorward, "client-jwt"),
        Case("Doorward, plain, POST 1 KB", doorward, "post"),
        Case("Doorward, HMAC, POST 1 KB", doorward, "hmac-post"),
        Case("Doorward, webhook, POST 1 KB", doorward, "webhook"),
        Case("Doorward, API key and a relation", doorward, "relation"),
        Case("Doorward, API key and Rego, 20 rules", doorward, "policy"),
        Case("Doorward, API key and Rego, recorded", recorded, "policy"),
        Case("Doorward, plain, TLS", doorward, tls=True),
        Case("Doorward, API key, TLS", doorward, "key", tls=True),
        Case("Doorward, Basic, TLS", doorward, "basic", tls=True),
        Case("Doorward, JWT, 10 000 tokens, TLS", doorward, "jwt", SEEN_TOKENS, tls=True),
        Case("Doorward, JWT never seen, TLS", doorward, "jwt", NEVER_SEEN, tls=True),
        Case("Doorward, opaque, 100 tokens, TLS", doorward, "opaque", ISSUED_TOKENS, tls=True),
        Case("Doorward, HMAC, each call its own, TLS", doorward, "hmac", tls=True),
        Case("Doorward, plain, TLS, relayed", doorward, tls=True, relayed=True),
        Case("Doorward, mTLS, relayed", doorward, "mtls", tls=True, relayed=True),
        Case("Doorward, certificate-bound JWT, relayed", doorward, "mtls-jwt", 1, tls=True, relayed=True),
    ]
    return cases


def _jwt_cases(name, subject, note):
    return [
        Case(f"{name}, JWT, 1 token{note}", subject, "jwt", 1),
        Case(f"{name}, JWT, 100 tokens{note}", subject, "jwt", 100),
        Case(f"{name}, JWT, 10 000 tokens{note}", subject, "jwt", SEEN_TOKENS),
        Case(f"{name}, JWT never seen{note}", subject, "jwt", NEVER_SEEN),
    ]
