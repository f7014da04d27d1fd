"""What is measured: each case is an operation at a server."""

import dataclasses

from .servers import Doorward, Peer


@dataclasses.dataclass(frozen=True)
class Operation:
    """One line of the table."""

    #: What `prepare.mjs` calls it.
    key: str
    name: str
    #: `each`, or a kind of chain of `calls.lua`.
    kind: str = "each"
    #: Whether each line may be sent only once.
    once: bool = False
    #: The most CPU µs that Doorward on SQLite is meant to take, and the most of oidc-provider's share.
    goal_us: float | None = None
    goal_share: float | None = None


OPERATIONS = [
    Operation("secret", "client credentials, secret", goal_us=40, goal_share=1 / 6),
    Operation("assertion", "client credentials, private_key_jwt", once=True, goal_us=85, goal_share=1 / 3),
    Operation("introspection", "introspection", goal_us=25, goal_share=1 / 3),
    Operation("par", "pushed authorization request"),
    Operation("refresh", "refresh with rotation", kind="refresh", goal_us=120, goal_share=1 / 2),
    Operation("code", "whole code flow", kind="code"),
]


@dataclasses.dataclass(frozen=True)
class Case:
    """An operation at a server."""

    server: object
    operation: Operation

    @property
    def name(self):
        return f"{self.operation.name}, {self.server.name}"


def all_cases():
    """Every case, in the order of the table."""
    servers = [Peer(), Doorward("SQLite"), Doorward("PostgreSQL")]
    return [Case(server, operation) for operation in OPERATIONS for server in servers]
