"""Rounds over all cases: start, prepare and prove, warm up, measure, end.

Each measurement starts its server afresh on a copy of the prepared database. The
rounds are interleaved and the order turns by one in each, so that a slow minute
of the machine falls on all.
"""

import contextlib
import dataclasses
import http.client
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from bench import machine
from bench.doorward import NotMeasurable
from bench.plan import CORE_OF_REST

from .postgres import Postgres

HERE = pathlib.Path(__file__).resolve().parents[1]
START_SECONDS = 15


class Failed(Exception):
    """A server did not start, answered wrongly, or a call failed."""


@dataclasses.dataclass
class Site:
    """Where everything of this run is."""

    tools: object
    repository: pathlib.Path
    made: pathlib.Path
    scripts: pathlib.Path
    listen: int
    admin: int
    stack: contextlib.ExitStack
    _postgres: Postgres | None = None

    @property
    def facts(self):
        return self.scripts / "facts.json"

    @property
    def issuer(self):
        return f"http://127.0.0.1:{self.listen}"

    def postgres(self):
        """Started when it is first needed."""
        if self._postgres is None:
            self._postgres = Postgres(self.tools.postgres, self.repository, _free_port())
            self.stack.callback(self._postgres.stop)
        return self._postgres

    def node(self, script, *words):
        """Runs one of the scripts, on the core of the rest."""
        command = ["taskset", "-c", str(CORE_OF_REST), self.tools.node, self.scripts / script, *words]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failed(f"{script}: {(done.stdout + done.stderr)[-1500:]}")


def run(plan, cases, tools, repository):
    """Measures; returns everything as plain data."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("issuer: ended by a signal"))
    began = time.monotonic()
    results = {
        "machine": _facts(tools, repository),
        "plan": dataclasses.asdict(plan),
        "cases": [],
        "skipped": {},
        "rounds": [],
    }
    if results["machine"]["busy_before"] > machine.QUIET:
        print(f"NOTE: others use {results['machine']['busy_before']:.0%} of this machine: no figures to quote", flush=True)
    before = machine.processor_times()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="doorward-bench-")))
        site = _site(folder, tools, repository, stack)
        for number in range(plan.rounds):
            measured = {}
            for case in [*cases[number:], *cases[:number]]:
                try:
                    measured[case.name] = one = _measure(plan, site, case, folder / f"{number}-{case.operation.key}-{case.server.name}".replace(" ", ""))
                except (Failed, NotMeasurable) as reason:
                    if number > 0:
                        raise Failed(f"{case.name}: {reason}") from None
                    results["skipped"][case.name] = str(reason).strip()
                    print(f"SKIPPED  {case.name}: {reason}", flush=True)
                    continue
                print(
                    f"round {number + 1}  {case.name:<58} {one['cpu_us']:8.1f} µs CPU  {one['per_second']:8.0f}/s",
                    flush=True,
                )
            cases = [case for case in cases if case.name in measured]
            if not cases:
                raise Failed("no case could be measured")
            results["rounds"].append(measured)
    results["cases"] = [
        {"name": case.name, "operation": case.operation.key, "server": case.server.name} for case in cases
    ]
    results["machine"]["stolen_share"] = round(machine.stolen_share(before, machine.processor_times()), 4)
    results["seconds"] = round(time.monotonic() - began, 1)
    return results


def _site(folder, tools, repository, stack):
    made, scripts = folder / "made", folder / "scripts"
    made.mkdir()
    scripts.mkdir()
    for file in [*HERE.glob("*.mjs"), repository / "e2e/clients/person.mjs"]:
        shutil.copy(file, scripts)
    # Modules are looked for beside the file that imports them.
    (scripts / "node_modules").symlink_to(tools.modules / "node_modules")
    site = Site(tools, repository, made, scripts, _free_port(), _free_port(), stack)
    site.node("facts.mjs", scripts, site.issuer)
    # A copy for the peer says what kind of token it introspects.
    facts = json.loads(site.facts.read_text())
    site.facts.write_text(json.dumps({**facts, "opaque": True}))
    return site


def _measure(plan, site, case, folder):
    facts = case.server.prepare(site)
    if not case.server.opaque:
        data = json.loads(facts.read_text())
        data.pop("opaque", None)
        facts.write_text(json.dumps(data))
    server = case.server.start(site, folder)
    try:
        return _drive(plan, site, case, server, facts, folder)
    except Failed as error:
        # What it said of itself matters where it ended; a live one's words hold its first key.
        raise Failed(f"{error}" if server.alive() else f"{error}\n{server.tail()}") from None
    finally:
        server.stop()
        case.server.stopped(site)
        shutil.rmtree(folder, ignore_errors=True)


def _drive(plan, site, case, server, facts, folder):
    _await_answer(site, server)
    operation = case.operation
    chains = operation.kind != "each"
    # A chain begins where prepare.mjs left it: each run has chains of its own.
    site.node("prepare.mjs", facts, folder, operation.key, plan.assertions, 2 * plan.chains)
    count = sum(1 for _ in open(folder / "lines"))
    if chains:
        warm, measured, limit = (1, plan.chains), (plan.chains + 1, plan.chains), (0, 0)
    elif operation.once:
        some = count // 5
        warm, measured, limit = (1, some), (some + 1, count - some), (some - 1, count - some - 1)
    else:
        warm, measured, limit = (1, count), (1, count), (0, 0)
    _wrk(plan, site, operation, folder, plan.warm_up_seconds, *warm, limit[0])
    postgres = site.postgres() if case.server.name.endswith("PostgreSQL") else None
    cpu, beside, stat = server.cpu_seconds(), postgres.cpu_seconds() if postgres else 0.0, machine.processor_times()
    figures = _wrk(plan, site, operation, folder, plan.seconds, *measured, limit[1])
    cpu = server.cpu_seconds() - cpu
    beside = postgres.cpu_seconds() - beside if postgres else 0.0
    stolen = machine.stolen_share(stat, machine.processor_times())
    if not server.alive():
        raise Failed("ended under load")
    seconds = figures["microseconds"] / 1e6
    return {
        "cpu_us": cpu / figures["operations"] * 1e6,
        "beside_us": beside / figures["operations"] * 1e6,
        "per_second": figures["operations"] / seconds,
        "operations": figures["operations"],
        "cpu_seconds": round(cpu, 2),
        "busy_share": cpu / seconds,
        "p50_us": figures["p50_us"],
        "p99_us": figures["p99_us"],
        "rss_bytes": server.resident_bytes(),
        "stolen_share": round(stolen, 4),
    }


def _wrk(plan, site, operation, folder, seconds, first, count, limit):
    threads, connections = (plan.chains, plan.chains) if operation.kind != "each" else (1, plan.connections)
    command = ["taskset", "-c", str(CORE_OF_REST), site.tools.wrk, f"-t{threads}", f"-c{connections}", f"-d{seconds}s"]
    command += ["--timeout", "5s", "-s", HERE / "calls.lua", site.issuer, "--", operation.kind, folder, first, count, limit]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=seconds + 60, stdin=subprocess.DEVNULL
    )
    lines = done.stdout.splitlines()
    result = [line for line in lines if line.startswith("RESULT ")]
    broken = [line for line in lines if line.startswith("BROKEN ")]
    if done.returncode != 0 or len(result) != 1 or broken:
        raise Failed(f"wrk failed: {' '.join(broken) or (done.stdout + done.stderr)[-800:]}")
    figures = json.loads(result[0].removeprefix("RESULT "))
    if any(figures["errors"].values()) or figures["operations"] == 0:
        raise Failed(f"calls failed: {figures}")
    return figures


def _await_answer(site, server):
    while time.perf_counter() - server.started < START_SECONDS and server.alive():
        connection = http.client.HTTPConnection("127.0.0.1", site.listen, timeout=5)
        try:
            connection.request("GET", "/.well-known/openid-configuration")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.01)
        finally:
            connection.close()
    raise Failed("no answer after its start")


def _facts(tools, repository):
    """Date, machine and versions."""

    package = json.loads((tools.modules / "node_modules/oidc-provider/package.json").read_text())
    return {
        **machine.host(),
        "versions": {
            "doorward": machine.doorward(tools, repository),
            "oidc-provider": package["version"],
            "Node": machine.version([tools.node, "--version"], r"v(\S+)"),
            "PostgreSQL": machine.version([tools.postgres / "postgres", "--version"], r"(\d[\d.]*)"),
            "wrk": machine.version([tools.wrk, "-v"], r"wrk (\S+)"),
        },
    }


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
