"""Rounds over all cases: start, prove that bad credentials are refused, warm up, measure, end.

Each measurement starts its program afresh, so that caches are as cold as the
case says and every round has a start time. The rounds are interleaved and the
order turns by one in each, so that a slow minute of the machine falls on all.
"""

import contextlib
import dataclasses
import http.client
import json
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

from . import load, machine, refusals
from .cases import NEVER_SEEN, SEEN_TOKENS
from .claims import BODY
from .doorward import NotMeasurable
from .peers import relay, upstream
from .plan import CORE_OF_SUBJECT
from .refusals import Call, NotRefused

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]

#: Of what is used once, the part that the warm-up uses.
FOR_WARM_UP = 1 / 6
#: Seconds that a warm-up may take at most; its calls are counted, so it ends well before.
WARM_UP_SECONDS = 20
#: Seconds until a started program must answer.
START_SECONDS = 15


class Failed(Exception):
    """A program did not start, passed what it must refuse, or refused what it must pass."""


@dataclasses.dataclass(frozen=True)
class Ports:
    """Where a subject listens and what it forwards to, on 127.0.0.1."""

    listen: int
    upstream: int


def run(plan, cases, tools):
    """Measures; returns everything as plain data."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("side-by-side: ended by a signal"))
    began = time.monotonic()
    results = {
        "machine": machine.facts(tools, REPOSITORY),
        "plan": dataclasses.asdict(plan),
        "cases": [],
        #: Case name to the reason why it is not in the table.
        "skipped": {},
        "rounds": [],
        #: CPU time of one ES256 check alone, per round.
        "verification_us": [],
    }
    busy = results["machine"]["busy_before"]
    if busy > machine.QUIET:
        print(f"NOTE: others use {busy:.0%} of this machine: no figures to quote", flush=True)
    before = machine.processor_times()
    with tempfile.TemporaryDirectory(prefix="doorward-bench-") as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        made = folder / "made"
        made.mkdir()
        new = plan.once // 2
        print(f"making {SEEN_TOKENS + new} tokens", flush=True)
        _make(tools, "tokens.py", made, SEEN_TOKENS, new)
        (made / "body.json").write_text(BODY)
        skipped = results["skipped"]
        cases = [case for case in cases if not _unprepared(case, tools, made, skipped)]
        bench = _Bench(plan, tools, folder, made, stack)
        took = 0.0
        for number in range(plan.rounds):
            left = plan.budget - (time.monotonic() - began)
            if number > 0 and left < took:
                print(f"{number} rounds of {plan.rounds}: the time is used up", flush=True)
                break
            at = time.monotonic()
            measured = {}
            for case in [*cases[number:], *cases[:number]]:
                try:
                    measured[case.name] = bench.measure(case, number)
                except Failed as reason:
                    if number > 0:
                        raise
                    _skip(case, reason, skipped)
                    continue
                figures = measured[case.name]
                print(
                    f"round {number + 1}  {case.name:<40} {figures['cpu_us']:8.1f} µs CPU per call "
                    f"{figures['per_second']:9.0f} calls/s",
                    flush=True,
                )
            if tools.verification:
                alone = _verification(tools, made, plan.seconds)
                results["verification_us"].append(alone)
                print(f"round {number + 1}  {'a signature check alone':<40} {alone:8.1f} µs CPU", flush=True)
            cases = [case for case in cases if case.name in measured]
            if not cases:
                raise Failed("no case could be measured")
            results["rounds"].append(measured)
            took = time.monotonic() - at
    results["cases"] = [
        {"name": case.name, "subject": case.subject.name, "tls": case.tls, "own_plain": case.own_plain}
        for case in cases
    ]
    results["machine"]["stolen_share"] = round(machine.stolen_share(before, machine.processor_times()), 4)
    results["seconds"] = round(time.monotonic() - began, 1)
    return results


def _make(tools, program, *words):
    """Runs a program of this folder in the environment that has `cryptography`."""
    program = pathlib.Path(__file__).with_name(program)
    subprocess.run([tools.python, "-B", program, *map(str, words)], check=True)


def _verification(tools, made, seconds):
    """CPU time of an ES256 check alone, by the code and the tokens of the cases, in µs."""
    command = ["taskset", "-c", CORE_OF_SUBJECT, tools.verification, made / "jwks.json", made / "seen.txt", seconds]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=seconds + 30)
    if done.returncode != 0:
        raise Failed(f"the signature check alone failed: {done.stderr.strip()}")
    return json.loads(done.stdout)["cpu_us"]


def _unprepared(case, tools, made, skipped):
    """Lets a case's subject get ready, once; tells whether it can't."""
    prepare = getattr(case.subject, "prepare", None)
    if not prepare:
        return False
    try:
        prepare(tools, made)
    except NotMeasurable as reason:
        _skip(case, reason, skipped)
        return True
    return False


def _skip(case, reason, skipped):
    skipped[case.name] = str(reason).strip()
    print(f"SKIPPED  {case.name}: {reason}", flush=True)


class _Bench:
    """The upstream, and what measuring a case needs."""

    def __init__(self, plan, tools, folder, made, stack):
        self.plan, self.tools, self.folder, self.made = plan, tools, folder, made
        self.upstream_port = _free_port()
        server = upstream(tools, folder / "upstream", self.upstream_port)
        stack.callback(server.stop)
        _await_answer(server, Call(self.upstream_port, False, "/"), {})

    def measure(self, case, number):
        """One measurement of one case, as a dictionary of figures."""
        folder = self.folder / f"{number}-{case.name}".replace(" ", "_").replace(",", "")
        ports = Ports(_free_port(), self.upstream_port)
        asked = {"certificates": True} if case.relayed else {}
        server = case.subject.start(self.tools, folder, ports, self.made, case.tls, **asked)
        with contextlib.ExitStack() as stack:
            stack.callback(server.stop)
            if case.carries == "partner":
                stack.callback(case.subject.partner(folder, self.made).stop)
            try:
                return self._measure(case, server, ports, folder, stack)
            except (load.LoadFailed, NotRefused) as error:
                raise Failed(f"{error}\n{server.tail()}") from None

    def _measure(self, case, server, ports, folder, stack):
        kind = case.kind
        shown = self.made / "client" if kind.certificate else None
        call = Call(ports.listen, case.tls, kind.path, BODY if kind.post else None, shown)
        if kind.signed:
            # It passes once, so it can't be tried until it passes; and it is made for this port.
            start_seconds = _await_answer(server, Call(ports.listen, case.tls, "/public/orders"), {})
        calls = self._calls(case, call)
        if not kind.signed:
            start_seconds = _await_answer(server, call, refusals.lines(calls, 1)[0])
        idle_bytes = server.resident_bytes()
        if case.carries != "none":
            refusals.prove(call, kind, calls, self.made)

        scheme, port = "https" if case.tls else "http", ports.listen
        if case.relayed:
            scheme, port = "http", _free_port()
            between = relay(self.tools, folder / "relay", port, ports.listen, self.made, kind.certificate)
            stack.callback(between.stop)
            _await_answer(between, Call(port, False, kind.path), refusals.lines(calls, 1)[0])
        url = f"{scheme}://127.0.0.1:{port}{kind.path}"
        drive = lambda seconds, these, limit: load.drive(  # noqa: E731
            self.tools.wrk, url, self.plan.connections, seconds, these, limit
        )
        warm, measured, limit = calls, calls, 0
        if case.once:
            until = int(calls.count * FOR_WARM_UP)
            warm = dataclasses.replace(calls, first=refusals.USED + 1, count=until - refusals.USED)
            measured = dataclasses.replace(calls, first=until + 1, count=calls.count - until)
            limit = measured.count - 1
            warm_calls = min(self.plan.warm_up_calls, warm.count - 1)
        else:
            # Each token that comes back is sent once before it counts as seen;
            # calls under way when the limit is reached are not answered.
            warm_calls = max(self.plan.warm_up_calls, (case.tokens or 0) + 2 * self.plan.connections)
        warmed = drive(WARM_UP_SECONDS, warm, warm_calls)
        if warmed["calls"] < (case.tokens or 0):
            raise Failed(f"too slow to see its tokens once in {WARM_UP_SECONDS} s")

        cpu, user, stat = server.cpu_seconds(), server.user_seconds(), machine.processor_times()
        figures = drive(self.plan.seconds, measured, limit)
        user = server.user_seconds() - user
        cpu, stolen = server.cpu_seconds() - cpu, machine.stolen_share(stat, machine.processor_times())
        if not server.alive():
            raise Failed(f"ended under load\n{server.tail()}")
        return {
            "cpu_us": cpu / figures["calls"] * 1e6,
            "user_us": user / figures["calls"] * 1e6,
            "per_second": figures["calls"] / figures["microseconds"] * 1e6,
            "calls": figures["calls"],
            "cpu_seconds": round(cpu, 2),
            "busy_share": cpu / (figures["microseconds"] / 1e6),
            "p50_us": figures["p50_us"],
            "p99_us": figures["p99_us"],
            "rss_bytes": server.resident_bytes(),
            "rss_idle_bytes": idle_bytes,
            "start_ms": start_seconds * 1e3,
            "stolen_share": round(stolen, 4),
        }

    def _calls(self, case, call):
        """What is sent; signs it first, where each call has a signature of its own."""
        kind, count = case.kind, case.tokens or 1
        body = self.made / "body.json" if kind.post else None
        if not kind.fields:
            return load.Calls(body=body)
        if case.once:
            count = self.plan.once // 2 if kind.slow else self.plan.once
        file = "new.txt" if case.tokens == NEVER_SEEN else kind.file
        if kind.signed:
            file = "fresh.txt"
            url = f"{'https' if call.tls else 'http'}://127.0.0.1:{call.port}{call.path}"
            _make(self.tools, "signers.py", self.made, case.carries, url, "POST" if body else "GET", count)
        return load.Calls(kind.fields, self.made / file, 1, count, body)


def _await_answer(server, call, fields):
    """Seconds from the start of the program to its first 200."""
    status = None
    while time.perf_counter() - server.started < START_SECONDS:
        try:
            status = call.status(fields)
        except (OSError, http.client.HTTPException):
            status = None
        if status == 200:
            return time.perf_counter() - server.started
        if not server.alive():
            break
        time.sleep(0.001)
    raise Failed(f"no 200 after its start (last status: {status})\n{server.tail()}")


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
