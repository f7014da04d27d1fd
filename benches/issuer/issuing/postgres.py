"""A PostgreSQL server of one's own, durable, on the core of the load; ends with this process."""

import os
import pathlib
import subprocess

from bench.plan import CORE_OF_REST

_TICK = os.sysconf("SC_CLK_TCK")
#: No secret: it guards a throw-away server on loopback.
PASSWORD = "for-measuring-only"


class Postgres:
    """The server, and databases in it."""

    def __init__(self, binaries, repository, port):
        self.binaries, self.port = binaries, port
        script = (repository / "testkit/src/postgres/server.sh").read_text()
        # Its binaries refuse to run as root.
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
        command = ["taskset", "-c", str(CORE_OF_REST), *user, "sh", "-c", script, "server.sh", str(binaries), str(port), PASSWORD]
        self.process = subprocess.Popen(command, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for expected in ("DIR ", "READY"):
            line = self.process.stdout.readline()
            if not line.startswith(expected):
                raise RuntimeError(f"PostgreSQL did not start: {line}")

    def url(self, database):
        """What Doorward is told."""
        return f"postgres://doorward:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def create(self, database, template="template1"):
        """Makes a database, a copy of the template."""
        self._psql(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')

    def drop(self, database):
        """Removes it."""
        self._psql(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def _psql(self, statement):
        command = [self.binaries / "psql", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "doorward", "-d", "postgres", "-c", statement]
        subprocess.run(command, check=True, env={**os.environ, "PGPASSWORD": PASSWORD}, stdin=subprocess.DEVNULL)

    def cpu_seconds(self):
        """User and system time of the server so far, with the processes that it waited for."""
        parents, spent = {}, {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue
            pid = int(entry.name)
            parents[pid], spent[pid] = int(fields[1]), sum(int(field) for field in fields[11:15])
        mine, total = {self.process.pid}, 0
        while True:
            children = {pid for pid, parent in parents.items() if parent in mine} - mine
            if not children:
                break
            mine |= children
        total = sum(spent.get(pid, 0) for pid in mine)
        return total / _TICK

    def stop(self):
        """Ends it; its data go with it."""
        self.process.stdin.close()
        self.process.wait(20)
