"""From raw figures to medians, ratios and the page in the docs."""

import json
import statistics

from . import aims
from .machine import QUIET
from .peers import ANSWER

YARDSTICK = "nginx, plain"
PLAIN, NEVER_SEEN = "Doorward, plain", "Doorward, JWT never seen"


def medians(results):
    """Per case name the median of each figure over the rounds."""
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
    yardstick = middle.get(YARDSTICK)
    lines = [
        "| case | CPU µs/call | range | × nginx | over own plain | calls/s | core busy | p50 µs | p99 µs "
        "| RSS MB idle | loaded | start ms |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for case in results["cases"]:
        one = middle[case["name"]]
        own = middle.get(case["own_plain"])
        low, high = one["cpu_us_range"]
        ratio = f"{one['cpu_us'] / yardstick['cpu_us']:.2f}" if yardstick else "–"
        over = "–"
        if own and own is not one:
            over = f"{one['cpu_us'] - own['cpu_us']:+.1f} µs, × {one['cpu_us'] / own['cpu_us']:.2f}"
        lines.append(
            f"| {case['name']} | {one['cpu_us']:.1f} | {low:.1f}–{high:.1f} | {ratio} | {over} "
            f"| {one['per_second']:.0f} | {one['busy_share']:.0%} | {one['p50_us']:.0f} | {one['p99_us']:.0f} "
            f"| {one['rss_idle_bytes'] / 1e6:.1f} | {one['rss_bytes'] / 1e6:.1f} | {one['start_ms']:.0f} |"
        )
    parts = ["\n".join(lines), aims.table(middle, yardstick), verification(results, middle)]
    return "\n\n".join(part for part in parts if part)


def verification(results, middle):
    """What of a token never seen is the signature check itself, in a sentence."""
    if not results["verification_us"]:
        return ""
    alone = statistics.median(results["verification_us"])
    low, high = min(results["verification_us"]), max(results["verification_us"])
    sentence = (
        f"A signature check alone (ES256, the code and the tokens of the cases, one thread, same rounds): "
        f"**{alone:.1f} µs** CPU ({low:.1f}–{high:.1f})."
    )
    if PLAIN in middle and NEVER_SEEN in middle:
        step = middle[NEVER_SEEN]["cpu_us"] - middle[PLAIN]["cpu_us"]
        own = middle[NEVER_SEEN]["user_us"] - middle[PLAIN]["user_us"]
        sentence += (
            f" *{NEVER_SEEN}* is {step:.1f} µs over *{PLAIN}*, {own:.1f} µs of it in Doorward's own code: "
            f"{own - alone:+.1f} µs besides the check. The rest is the kernel's: at so few calls a second the upstream "
            "and the load generator fall asleep in between, and waking them is charged to who sends."
        )
    return sentence


def write(results, folder):
    """Writes the page and the raw figures."""
    folder.mkdir(parents=True, exist_ok=True)
    results = {**results, "medians": medians(results)}
    (folder / "side-by-side.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "side-by-side.md").write_text(_page(results))


def _page(results):
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    notes = "".join(
        f"\n**Not measured: {name}.** {reason.splitlines()[0]}\n" for name, reason in results["skipped"].items()
    )
    busy = ""
    if machine["busy_before"] > QUIET or machine["stolen_share"] > 0.02:
        busy = (
            f"\n**The machine was not quiet** (others used {machine['busy_before']:.0%} of it before, "
            f"{machine['stolen_share']:.1%} of processor time stolen): ratios within this run may hold, "
            "absolute figures do not.\n"
        )
    return f"""# Side by side

Made by `benches/side-by-side/run`; don't edit. Raw figures of every round: [side-by-side.json](side-by-side.json).

- {machine["date"]}, kernel {machine["kernel"]}, {machine["cores"]} cores of {machine["cpu"]}, {machine["memory_gib"]} GiB
- {versions}
- {len(results["rounds"])} interleaved rounds of {results["plan"]["seconds"]:g} s, medians; {results["plan"]["connections"]} kept-open connections
{busy}{notes}
{table(results)}

How to read it:

- **CPU µs/call** is user and system time of the program's whole process group, from `/proc`, over the calls it answered. It repeats on a shared machine where calls per second don't. *Range* is the lowest and highest round.
- Each program has one worker and one core; upstream (nginx, a fixed answer of {len(ANSWER)} bytes) and load generator (wrk) share another. Where *core busy* is well under 100 %, that other core was the bound, and calls per second and latencies say little about the program.
- *× nginx* compares with nginx as a plain proxy; *over own plain* with the same program called in the same way without a credential: with TLS, with a POST of 1 KB, behind the relay, where the case has that.
- **JWT** are ES256 access tokens (RFC 9068) that take turns; each was seen before measuring, as were tokens of the other forms. **Never seen**: each token is sent once. *JWE* is a JWT encrypted by ECDH-ES on P-256, *PASETO* is v4.public; both, and the opaque tokens, are of Doorward's own issuer. For a *foreign opaque* token its issuer was asked (RFC 7662) and the answer is used for a minute.
- **Each call its own**: a signature, or a proof under a token seen before, that is sent once and remembered as used, here in the process's own memory. *DPoP* and *client-signed JWT* are ES256. A *webhook* is of the standard style (HMAC); that it was delivered is a durable row, so this case writes to the database at each call.
- **Relayed**: wrk can't show a client's certificate, so an nginx beside it calls the program over TLS connections that stay open, with and without one. Its time counts for nobody; compare these cases with each other.
- Before each measurement the program had to answer 401 to no credential, garbage, each part changed in one character, each part left out; to a signature used before and to another body; to tokens that are expired, a foreign key's, a foreign issuer's and a foreign audience's (Envoy: 403 to the last); to no certificate, an expired one and one of another authority: whichever of these the case has. And 200 to a good one.
- Access logs of the peers are off. Memory is resident memory of the group. *Start* is from the start of the process to its first 200.
"""
