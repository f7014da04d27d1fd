"""What is measured: each case is a subject, what its calls carry, and with or without TLS."""

import dataclasses

from .doorward import OPAQUE_TOKENS, Doorward
from .peers import Envoy, Haproxy, Nginx

#: Marks a case in which no token is used twice.
NEVER_SEEN = 0

#: Tokens made for the cases in which they come back, and for those in which they don't.
SEEN_TOKENS = 10_000
NEW_TOKENS = 60_000


@dataclasses.dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    subject: object
    #: `none`, `key`, `jwt`, `opaque`, `hmac`; `relation` and `policy`: a key, and what is judged besides.
    carries: str = "none"
    #: How many distinct tokens take turns; `NEVER_SEEN`: as many as calls.
    tokens: int | None = None
    tls: bool = False

    @property
    def own_plain(self):
        """The name of the same program's plain case, with TLS where this one has it."""
        return f"{self.subject.name}, plain" + (", TLS" if self.tls else "")


def all_cases():
    """Every case, in the order of the table."""
    nginx, haproxy, envoy = Nginx(), Haproxy(jwt=False), Envoy(jwt=False)
    cases = [
        Case("nginx, plain", nginx),
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
        Case("Doorward, opaque, 100 tokens", doorward, "opaque", OPAQUE_TOKENS),
        Case("Doorward, HMAC, each call its own", doorward, "hmac", NEVER_SEEN),
        Case("Doorward, API key and a relation", doorward, "relation"),
        Case("Doorward, API key and Rego, 20 rules", doorward, "policy"),
        Case("Doorward, API key and Rego, recorded", recorded, "policy"),
        Case("Doorward, plain, TLS", doorward, tls=True),
        Case("Doorward, API key, TLS", doorward, "key", tls=True),
        Case("Doorward, JWT, 10 000 tokens, TLS", doorward, "jwt", SEEN_TOKENS, tls=True),
        Case("Doorward, JWT never seen, TLS", doorward, "jwt", NEVER_SEEN, tls=True),
    ]
    return cases


def _jwt_cases(name, subject, note):
    return [
        Case(f"{name}, JWT, 1 token{note}", subject, "jwt", 1),
        Case(f"{name}, JWT, 100 tokens{note}", subject, "jwt", 100),
        Case(f"{name}, JWT, 10 000 tokens{note}", subject, "jwt", SEEN_TOKENS),
        Case(f"{name}, JWT never seen{note}", subject, "jwt", NEVER_SEEN),
    ]
