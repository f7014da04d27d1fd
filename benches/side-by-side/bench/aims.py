"""What Doorward is meant to reach in some of the cases, and whether it does."""

#: Case to CPU µs per call, on a machine where the yardstick takes `YARDSTICK_US`.
AIMS = {
    "Doorward, plain": 20,
    "Doorward, JWT, 10 000 tokens": 23,
    "Doorward, JWT never seen": 65,
    "Doorward, API key": 25,
    "Doorward, HMAC, POST 1 KB": 25,
    "Doorward, mTLS, relayed": 25,
}
YARDSTICK_US = 15


def table(medians, yardstick):
    """The table in Markdown with a word before it; nothing where a yardstick or all such cases are missing."""
    found = {name: medians[name]["cpu_us"] for name in AIMS if name in medians}
    if not found or not yardstick:
        return ""
    word = lambda good: "yes" if good else "**no**"  # noqa: E731
    lines = [
        f"Aims are of a machine where nginx as a plain proxy takes {YARDSTICK_US} µs; here it takes "
        f"{yardstick['cpu_us']:.1f}. So read the ratio to nginx in the same run, and the µs only on such a machine.",
        "",
        "| case | aim µs | reached | aim × nginx | reached |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, reached in found.items():
        aim, ratio = AIMS[name], reached / yardstick["cpu_us"]
        lines.append(
            f"| {name} | ≤ {aim} | {reached:.1f}: {word(reached <= aim)} "
            f"| ≤ {aim / YARDSTICK_US:.2f} | {ratio:.2f}: {word(ratio <= aim / YARDSTICK_US)} |"
        )
    return "\n".join(lines)
