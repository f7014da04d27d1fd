"""What is needed and how it gets here. Packages of npm are fetched as the clients' tests do."""

import dataclasses
import glob
import pathlib
import shutil
import subprocess

from bench.install import Missing


@dataclasses.dataclass
class Tools:
    """Where the programs are."""

    wrk: str
    node: str
    #: The folder that holds `node_modules`.
    modules: pathlib.Path
    #: PostgreSQL's binaries.
    postgres: pathlib.Path
    doorward: pathlib.Path | None = None


def found(repository):
    """Installs what is missing and says so."""
    script = """
        . .ci/setup
        need_debian wrk wrk taskset util-linux '/usr/lib/postgresql/*/bin/postgres' postgresql
        need_npm e2e/clients clients
        printf '%s\\n%s\\n' "$node" "$modules"
    """
    done = subprocess.run(["bash", "-c", script, "run"], cwd=repository, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Missing("what is needed could not be installed (see above)")
    node, modules = done.stdout.splitlines()[-2:]
    postgres = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    return Tools(shutil.which("wrk"), node, pathlib.Path(modules), pathlib.Path(postgres))
