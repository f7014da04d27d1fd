"""The load generator: wrk, one thread, on the core that the program under test does not use."""

import dataclasses
import json
import math
import pathlib
import subprocess

from .plan import CORE_OF_REST

SCRIPT = pathlib.Path(__file__).with_name("calls.lua")


@dataclasses.dataclass(frozen=True)
class Calls:
    """What is sent: lines of a file in turn, in header fields, and perhaps a body with each."""

    #: `Name: prefix`, one for each column of the file.
    fields: tuple = ()
    file: pathlib.Path | None = None
    first: int = 1
    count: int = 0
    #: A file; then calls are a POST.
    body: pathlib.Path | None = None


class LoadFailed(Exception):
    """wrk ended with an error, or calls failed."""


def drive(wrk, url, connections, seconds, calls, limit=0):
    """Runs the load; returns wrk's figures as a dictionary.

    `limit` bounds the calls, beside the clock.
    """
    command = ["taskset", "-c", str(CORE_OF_REST), wrk, "-t1", f"-c{connections}"]
    # wrk takes whole seconds only.
    command += [f"-d{max(1, math.ceil(seconds))}s", "--timeout", "5s", "-s", SCRIPT, url, "--", limit]
    command += ["POST" if calls.body else "GET", calls.body or "-", calls.file or "-"]
    command += [calls.first, calls.count, *calls.fields]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=seconds + 60, stdin=subprocess.DEVNULL
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or len(lines) != 1:
        raise LoadFailed(f"wrk failed: {(done.stdout + done.stderr)[-800:]}")
    figures = json.loads(lines[0].removeprefix("RESULT "))
    if any(figures["errors"].values()) or figures["calls"] == 0:
        raise LoadFailed(f"calls failed: {figures}")
    return figures
