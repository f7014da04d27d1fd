"""How long each part takes."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Plan:
    """One way of running the cases."""

    #: Times that all cases are measured, one after the other.
    rounds: int
    #: Seconds of one measurement, and of the warm-up before it.
    seconds: int
    warm_up_seconds: int
    #: Connections kept open by the load generator.
    connections: int = 32
    #: Chains that run at once: a connection each.
    chains: int = 16
    #: Assertions that are signed for one measurement, of which the warm-up uses a fifth.
    assertions: int = 60_000


FULL = Plan(rounds=3, seconds=4, warm_up_seconds=2)
QUICK = Plan(rounds=1, seconds=1, warm_up_seconds=1, assertions=20_000)
