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
import ssl
import subprocess
import sys
import tempfile
import time

from . import load, machine
from .cases import NEVER_SEEN, NEW_TOKENS, SEEN_TOKENS
from .doorward import NotMeasurable
from .peers import upstream
from .plan import CORE_OF_SUBJECT

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]

#: What a case carries that goes by an API key.
BY_KEY = ("key", "relation", "policy")

#: Of the tokens to be used once, those that the warm-up uses.
NEW_FOR_WARM_UP = 10_000
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
        print(f"making {SEEN_TOKENS + NEW_TOKENS} tokens", flush=True)
        maker = pathlib.Path(__file__).with_name("tokens.py")
        subprocess.run([tools.python, "-B", maker, made, str(SEEN_TOKENS), str(NEW_TOKENS)], check=True)
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
        self.refused = json.loads((made / "refused.json").read_text())
        self.upstream_port = _free_port()
        server = upstream(tools, folder / "upstream", self.upstream_port)
        stack.callback(server.stop)
        _await_answer(server, Call(self.upstream_port, False, "/"))

    def measure(self, case, number):
        """One measurement of one case, as a dictionary of figures."""
        folder = self.folder / f"{number}-{case.name}".replace(" ", "_").replace(",", "")
        ports = Ports(_free_port(), self.upstream_port)
        server = case.subject.start(self.tools, folder, ports, self.made, case.tls)
        try:
            return self._measure(case, server, ports)
        except load.LoadFailed as error:
            raise Failed(f"{error}\n{server.tail()}") from None
        finally:
            server.stop()

    def _measure(self, case, server, ports):
        path = getattr(case.subject, "paths", {}).get(case.carries, "/public/orders")
        credentials = self._credentials(case, ports)
        call = Call(ports.listen, case.tls, path)
        if case.carries == "hmac":
            # What is signed is used once, so it can't be tried until it passes.
            start_seconds = _await_answer(server, Call(ports.listen, case.tls, case.subject.paths["none"]))
        else:
            start_seconds = _await_answer(server, call, _first(credentials))
        idle_bytes = server.resident_bytes()
        self._prove_refusals(case, call, credentials)

        url = f"{'https' if case.tls else 'http'}://127.0.0.1:{ports.listen}{path}"
        drive = lambda seconds, these, limit: load.drive(  # noqa: E731
            self.tools.wrk, url, self.plan.connections, seconds, these, limit
        )
        warm, measured, limit = credentials, credentials, 0
        if case.tokens == NEVER_SEEN:
            warm = dataclasses.replace(credentials, first=2, count=NEW_FOR_WARM_UP - 1)
            rest = NEW_TOKENS - NEW_FOR_WARM_UP
            measured = dataclasses.replace(credentials, first=NEW_FOR_WARM_UP + 1, count=rest)
            limit = rest - 1
            warm_calls = min(self.plan.warm_up_calls, warm.count)
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

    def _credentials(self, case, ports):
        if case.carries == "none":
            return None
        if case.carries in BY_KEY:
            return load.Credentials("X-API-Key", "", case.subject.key_file(self.made), 1, 1)
        if case.carries == "opaque":
            return load.Credentials("Authorization", "Bearer ", case.subject.opaque_file(self.made), 1, case.tokens)
        if case.carries == "hmac":
            host = f"127.0.0.1:{ports.listen}"
            return load.Credentials("Authorization", "", case.subject.signatures(self.made, host, NEW_TOKENS), 1, 1)
        if case.tokens == NEVER_SEEN:
            return load.Credentials("Authorization", "Bearer ", self.made / "new.txt", 1, 1)
        return load.Credentials("Authorization", "Bearer ", self.made / "seen.txt", 1, case.tokens)

    def _prove_refusals(self, case, call, credentials):
        """Nothing is measured that does not check what it says it checks."""
        if not credentials:
            return
        bad = {"absent": {}}
        if case.carries == "hmac":
            used = _first(credentials)
            if call.status(used) != 200:
                raise Failed("a good signature was refused")
            bad |= {"used before": used, "garbage": {"Authorization": "HMAC-SHA256 garbage"}}
        elif case.carries == "opaque":
            bad |= {"garbage": {"Authorization": "Bearer garbage"}}
        elif case.carries == "jwt":
            bad |= {what: {"Authorization": f"Bearer {token}"} for what, token in self.refused.items()}
        else:
            good = _first(credentials)["X-API-Key"]
            other = good[:-10] + ("a" if good[-10] != "a" else "b") + good[-9:]
            bad |= {"garbage": {"X-API-Key": "garbage"}, "a changed key": {"X-API-Key": other}}
        for what, headers in bad.items():
            status = call.status(headers)
            # Envoy answers 403 to a token for another audience.
            accepted = (401, 403) if what == "for another audience" else (401,)
            if status not in accepted:
                raise Failed(f"with a credential that is wrong ({what}) it answered {status}, not 401")
        if case.carries != "hmac" and call.status(_first(credentials)) != 200:
            raise Failed(f"a good credential was refused after bad ones")


@dataclasses.dataclass(frozen=True)
class Call:
    """A single call, to ask for its status."""

    port: int
    tls: bool
    path: str

    def status(self, headers):
        """The status of the answer; raises `OSError` or `HTTPException` where none comes."""
        if self.tls:
            context = ssl._create_unverified_context()  # A certificate made for this run, on loopback.
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", self.path, headers=headers or {})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()


def _first(credentials):
    """Header fields with the first credential."""
    if not credentials:
        return {}
    with open(credentials.file, encoding="ascii") as file:
        return {credentials.header: credentials.prefix + file.readline().rstrip("\n")}


def _await_answer(server, call, headers=None):
    """Seconds from the start of the program to its first 200."""
    status = None
    while time.perf_counter() - server.started < START_SECONDS:
        try:
            status = call.status(headers)
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
