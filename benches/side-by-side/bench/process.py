"""Programs under test: started pinned, measured from /proc, ended by their own group."""

import os
import signal
import subprocess
import time

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Server:
    """A program in a process group of its own, pinned to one core."""

    def __init__(self, command, core, log, env=None, cwd=None):
        self.log = log
        self._out = open(log, "ab")
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )

    def _members(self):
        """The fields of /proc/PID/stat after the name, of each process in the group."""
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    # The name may hold blanks and brackets: what follows the last one is regular.
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue  # It ended meanwhile.
            if int(fields[2]) == self.process.pid:
                yield int(entry), fields

    def pids(self):
        """The processes in the group."""
        return [pid for pid, _ in self._members()]

    def cpu_seconds(self):
        """User and system time of the whole group so far."""
        return sum(int(fields[11]) + int(fields[12]) for _, fields in self._members()) / _TICK

    def user_seconds(self):
        """The part of it that the group's own code took, without the kernel's."""
        return sum(int(fields[11]) for _, fields in self._members()) / _TICK

    def resident_bytes(self):
        """Resident memory of the whole group; shared pages count in each process."""
        return sum(int(fields[21]) for _, fields in self._members()) * _PAGE

    def alive(self):
        """Whether the program has not ended."""
        return self.process.poll() is None

    def tail(self):
        """The end of what it printed."""
        with open(self.log, "rb") as file:
            return file.read()[-1500:].decode(errors="replace")

    def stop(self):
        """Ends the group: politely, then for good."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            try:
                self.process.wait(3)
                break
            except subprocess.TimeoutExpired:
                continue
        try:
            # A worker may outlive its master for a moment.
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._out.close()
