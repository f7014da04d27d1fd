"""From raw figures to medians, shares and the page in the docs."""

import json
import statistics

from bench.machine import QUIET

from .cases import OPERATIONS
from .servers import Peer


def medians(results):
    """Per case name the median of each figure over the rounds, and the range of the CPU time."""
    found = {}
    for case in results["cases"]:
        rounds = [measured[case["name"]] for measured in results["rounds"]]
        figures = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        figures["cpu_us_range"] = [min(one["cpu_us"] for one in rounds), max(one["cpu_us"] for one in rounds)]
        found[case["name"]] = figures
    return found


def table(results):
    """The table in Markdown."""
    middle = medians(results)
    peers = {case["operation"]: middle[case["name"]] for case in results["cases"] if case["server"] == Peer.name}
    lines = [
        "| operation | server | CPU µs | range | of oidc-provider’s | PostgreSQL’s own µs | per second | core busy | p50 µs | p99 µs | RSS MB |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    names = {operation.key: operation.name for operation in OPERATIONS}
    for case in results["cases"]:
        one = middle[case["name"]]
        peer = peers.get(case["operation"])
        share = f"{one['cpu_us'] / peer['cpu_us']:.2f}" if peer and peer is not one else "–"
        beside = f"{one['beside_us']:.0f}" if one["beside_us"] else "–"
        low, high = one["cpu_us_range"]
        lines.append(
            f"| {names[case['operation']]} | {case['server']} | {one['cpu_us']:.1f} | {low:.1f}–{high:.1f} | {share} | {beside} "
            f"| {one['per_second']:.0f} | {one['busy_share']:.0%} | {one['p50_us']:.0f} | {one['p99_us']:.0f} | {one['rss_bytes'] / 1e6:.0f} |"
        )
    return "\n".join(lines)


def goals(results):
    """What Doorward on SQLite is meant to reach, and whether it does."""
    middle = medians(results)
    lines = ["| operation | goal µs | reached | goal: share of oidc-provider’s | reached |", "|---|--:|--:|--:|--:|"]
    for operation in OPERATIONS:
        ours = middle.get(f"{operation.name}, Doorward, SQLite")
        peer = middle.get(f"{operation.name}, {Peer.name}")
        if not operation.goal_us or not ours or not peer:
            continue
        share = ours["cpu_us"] / peer["cpu_us"]
        word = lambda good: "yes" if good else "**no**"  # noqa: E731
        lines.append(
            f"| {operation.name} | ≤ {operation.goal_us:g} | {ours['cpu_us']:.1f}: {word(ours['cpu_us'] <= operation.goal_us)} "
            f"| ≤ {operation.goal_share:.2f} | {share:.2f}: {word(share <= operation.goal_share)} |"
        )
    return "\n".join(lines) if len(lines) > 2 else ""


def write(results, folder):
    """Writes the page and the raw figures."""
    folder.mkdir(parents=True, exist_ok=True)
    results = {**results, "medians": medians(results)}
    (folder / "issuer.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "issuer.md").write_text(_page(results))


def _page(results):
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    notes = "".join(f"\n**Not measured: {name}.** {reason.splitlines()[0]}\n" for name, reason in results["skipped"].items())
    busy = ""
    if machine["busy_before"] > QUIET or machine["stolen_share"] > 0.02:
        busy = (
            f"\n**The machine was not quiet** (others used {machine['busy_before']:.0%} of it before, "
            f"{machine['stolen_share']:.1%} of processor time stolen): shares within this run may hold, absolute figures do not.\n"
        )
    plan = results["plan"]
    return f"""# The issuer, side by side

Made by `benches/issuer/run`; don't edit. Raw figures of every round: [issuer.json](issuer.json).

- {machine["date"]}, kernel {machine["kernel"]}, {machine["cores"]} cores of {machine["cpu"]}, {machine["memory_gib"]} GiB
- {versions}
- {len(results["rounds"])} interleaved rounds of {plan["seconds"]} s, medians; {plan["connections"]} connections, {plan["chains"]} for chains
{busy}{notes}
{table(results)}

{goals(results)}

How to read it:

- **CPU µs** is user and system time of the server's processes, from `/proc`, over the operations that it answered. It repeats on a shared machine where operations per second don't. *Range* is the lowest and highest round. PostgreSQL's own time is a column of its own.
- Doorward has one worker and commits durably, to SQLite or to PostgreSQL (`fsync` on). oidc-provider is one Node process with all in memory, forgotten at its end.
- Access tokens are ES256 JWTs (RFC 9068) for one API. oidc-provider introspects opaque tokens only, so its introspection is of those. The assertions are ES256, signed beforehand, each sent once.
- *Refresh* runs in chains: each answer's refresh token is the next call's, and the one before is dead. *Whole code flow* is the authorization endpoint for a person who is logged in and has consented, then the token endpoint, with an ID token; its latencies are those of single calls.
- Before each measurement the server had to refuse a wrong secret, a used assertion, a foreign token, a replaced refresh token and a redeemed code.
- Where *core busy* is well under 100 %, load generator, disk or PostgreSQL was the bound, and operations per second and latencies say little about the server.
"""
