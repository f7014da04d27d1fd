"""What the figures depend on: machine, versions, and how busy it was."""

import datetime
import os
import pathlib
import platform
import re
import subprocess
import time

#: Above this share of processor time used by others, absolute figures mean little.
QUIET = 0.1


def host():
    """Date and machine, and how busy others keep it."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "busy_before": round(_busy_share(), 2),
    }


def facts(tools, repository):
    """Date, machine and versions."""
    return {
        **host(),
        "versions": {
            "nginx": version([tools.nginx, "-v"], r"nginx/(\S+)"),
            "haproxy": version([tools.haproxy, "-v"], r"version (\S+)"),
            "envoy": version([tools.envoy, "--version"], r"version: [0-9a-f]+/([^/]+)/"),
            "wrk": version([tools.wrk, "-v"], r"wrk (\S+)"),
            "doorward": doorward(tools, repository),
        },
    }


def stolen_share(before, after):
    """The share of processor time that the hypervisor gave to others between two readings."""
    total = sum(after) - sum(before)
    return (after[7] - before[7]) / total if total else 0.0


def processor_times():
    """The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal."""
    line = pathlib.Path("/proc/stat").read_text().splitlines()[0]
    return [int(field) for field in line.split()[1:9]]


def _busy_share():
    """The share of processor time that others use while nothing is measured."""
    before = processor_times()
    time.sleep(1.5)
    spent = [after - then for after, then in zip(processor_times(), before)]
    idle = spent[3] + spent[4]
    return 1 - idle / sum(spent)


def _cpu_model():
    match = re.search(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text())
    return match.group(1).strip() if match else platform.machine()


def version(command, pattern):
    """What a program says of itself, by a pattern with one group."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    match = re.search(pattern, done.stdout + done.stderr)
    return match.group(1) if match else "unknown"


def doorward(tools, repository):
    """Doorward's version and the commit of the clone."""
    if not tools.doorward:
        return None
    own = version([tools.doorward, "--version"], r"doorward (\S+)")
    commit = subprocess.run(
        ["git", "-C", repository, "describe", "--always", "--dirty"], capture_output=True, text=True
    ).stdout.strip()
    return f"{own} ({commit})" if commit else own
