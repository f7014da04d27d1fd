"""How long each part takes. A full run stays under twenty minutes, a quick one under five."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Plan:
    """One way of running the cases."""

    #: Times that all cases are measured, one after the other.
    rounds: int
    #: Seconds of one measurement.
    seconds: float
    #: Calls before a measurement; a case with more distinct tokens uses each once.
    warm_up_calls: int
    #: Signatures that are made for a measurement in which each is used once.
    once: int
    #: Seconds after which no further round begins.
    budget: float
    #: Connections kept open by the load generator.
    connections: int = 32


FULL = Plan(rounds=3, seconds=3.0, warm_up_calls=20_000, once=90_000, budget=1150.0)
QUICK = Plan(rounds=1, seconds=1.0, warm_up_calls=5_000, once=24_000, budget=280.0)

#: The core of the program under test, and that of upstream and load generator.
CORE_OF_SUBJECT = 1
CORE_OF_REST = 0
