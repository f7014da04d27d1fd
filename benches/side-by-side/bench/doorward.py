"""Doorward as a subject, set up by `doorward.yaml` beside the command.

The program itself is asked whether it takes the settings, and starts once on a
fresh folder, so that later starts find a database as an installed one would. A
Doorward that can't be measured is skipped with its own words, never pretended.
"""

import base64
import hashlib
import pathlib
import secrets
import shutil
import socket
import subprocess
import time

from .claims import AUDIENCE, ISSUER, SCOPE
from .plan import CORE_OF_SUBJECT
from .process import Server

TEMPLATE = pathlib.Path(__file__).resolve().parents[1] / "doorward.yaml"

#: Seconds for the very first start, which makes the database.
FIRST_START_SECONDS = 20


class NotMeasurable(Exception):
    """Why the program can't be measured."""


class Doorward:
    """The gateway with one worker thread."""

    name = "Doorward"
    takes_jwt = True
    #: Where the template mounts the same upstream, by what a call carries.
    paths = {"none": "/public/orders", "key": "/key/orders", "jwt": "/jwt/orders"}

    def __init__(self, record=False):
        #: Whether calls go to the access log and the decision log.
        self.record = record

    def prepare(self, tools, made):
        """Makes the folder that every start gets a copy of; the first answer holds for all cases."""
        installed = made / "doorward"
        refusal = made / "doorward.refusal"
        if refusal.exists():
            raise NotMeasurable(refusal.read_text())
        if installed.exists():
            return
        installed.mkdir()
        try:
            key = "bench_" + secrets.token_hex(20)
            self.key_file(made).write_text(key + "\n")
            master = installed / "master.key"
            master.touch(mode=0o600)
            master.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            file = self._settings(installed, port, 1, made, tls=False)
            _ask([tools.doorward, "config", "check", "--config", file])
            _start_once(Server([tools.doorward, "serve", "--config", file], CORE_OF_SUBJECT, made / "log"), port)
        except NotMeasurable as reason:
            refusal.write_text(str(reason))
            raise

    def key_file(self, made):
        """The file with the API key."""
        return made / "doorward.key"

    def start(self, tools, folder, ports, made, tls):
        shutil.copytree(made / "doorward", folder)
        file = self._settings(folder, ports.listen, ports.upstream, made, tls)
        # Pinned to one core, tokio starts one worker thread; said once more for the reader.
        env = {"TOKIO_WORKER_THREADS": "1"}
        return Server([tools.doorward, "serve", "--config", file], CORE_OF_SUBJECT, folder / "log", env)

    def _settings(self, folder, listen, upstream, made, tls):
        certificate = f"{{ certificate_file: {made}/server.pem, key_file: {made}/server.key }}"
        values = {
            "listen": listen,
            "upstream": upstream,
            "made": made,
            "tls": f", tls: {{ certificates: [{certificate}] }}" if tls else "",
            "record": str(self.record).lower(),
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "scope": SCOPE,
            "key_sha256": hashlib.sha256(self.key_file(made).read_text().strip().encode()).hexdigest(),
        }
        text = TEMPLATE.read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        file = folder / "doorward.yaml"
        file.write_text(text)
        return file


def _start_once(server, port):
    """Waits until the port is open, then ends the program."""
    try:
        while time.perf_counter() - server.started < FIRST_START_SECONDS:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if not server.alive():
                break
            time.sleep(0.01)
        words = server.tail().strip() or "it said nothing"
        raise NotMeasurable(f"`doorward serve` opened no port:\n{words}")
    finally:
        server.stop()


def _ask(command):
    """Runs one of the program's own commands; its refusal is the reason."""
    words = " ".join(map(str, command[1:-1]))
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasurable(f"`doorward {words}`: {error}") from None
    if done.returncode != 0:
        raise NotMeasurable(f"`doorward {words}` failed:\n{(done.stdout + done.stderr)[-1500:].strip()}")
