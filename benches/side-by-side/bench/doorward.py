"""Doorward as a subject, set up by `doorward.yaml` beside the command.

The program itself is asked whether it takes the settings, and starts once on a
fresh folder, where credentials are made through the admin API and the token
endpoint, so that later starts find a database as an installed one would and
measured calls carry a key that is stored as an Argon2id hash. A Doorward that can't be measured is
skipped with its own words, never pretended.
"""

import base64
import json
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import textwrap
import time

from . import claims, credentials
from .plan import CORE_OF_REST, CORE_OF_SUBJECT
from .process import Server

TEMPLATE = pathlib.Path(__file__).resolve().parents[1] / "doorward.yaml"

#: Seconds for the very first start, which makes the database.
FIRST_START_SECONDS = 20


class NotMeasurable(Exception):
    """Why the program can't be measured."""


class Doorward:
    """The gateway with one worker thread."""

    name = "Doorward"

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
            master = installed / "master.key"
            master.touch(mode=0o600)
            master.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
            admin, tokens = _free_port(), _free_port()
            # Every start has the same issuers, as tokens name them.
            (made / "issuer.port").write_text(str(tokens))
            (made / "partner.port").write_text(str(_free_port()))
            credentials.make_partner(made)
            file = self._settings(installed, _free_port(), admin, 1, made, tls=False)
            ask([tools.doorward, "config", "check", "--config", file])
            server = Server([tools.doorward, "serve", "--config", file], CORE_OF_SUBJECT, made / "log")
            try:
                admin_key = made / "admin.key"
                admin_key.touch(mode=0o600)
                admin_key.write_text(await_first_key(server))

                def tell(*words):
                    by = ["--admin-url", f"http://127.0.0.1:{admin}", "--admin-key-file", admin_key]
                    return json.loads(ask([tools.doorward, *words, *by, "--output", "json"]))

                credentials.make(tell, made, f"http://127.0.0.1:{tokens}")
            finally:
                server.stop()
        except NotMeasurable as reason:
            refusal.write_text(str(reason))
            raise

    def partner(self, folder, made):
        """The partner's issuer, which is asked about its opaque tokens."""
        program = pathlib.Path(__file__).with_name("introspection.py")
        port = (made / "partner.port").read_text()
        command = [sys.executable, "-B", program, port, made]
        return Server(command, CORE_OF_REST, folder / "partner.log")

    def start(self, tools, folder, ports, made, tls, certificates=False):
        shutil.copytree(made / "doorward", folder)
        file = self._settings(folder, ports.listen, _free_port(), ports.upstream, made, tls, certificates)
        command = [tools.doorward, "serve", "--config", file, "--workers", "1"]
        return Server(command, CORE_OF_SUBJECT, folder / "log")

    def _settings(self, folder, listen, admin, upstream, made, tls, certificates=False):
        certificate = f"{{ certificate_file: {made}/server.pem, key_file: {made}/server.key }}"
        asked = ", client_certificates: optional" if certificates else ""
        signing = made / "signing.json"
        # Before the first start there is no such key; the route wants one that looks like it.
        webhook = json.loads(signing.read_text())["webhook"]["key_id"] if signing.exists() else "DWAK" + "0" * 16
        values = {
            "listen": listen,
            "admin": admin,
            "tokens": (made / "issuer.port").read_text(),
            "upstream": upstream,
            "made": made,
            "tls": f", tls: {{ certificates: [{certificate}]{asked} }}" if tls else "",
            "record": str(self.record).lower(),
            "caller_keys": (made / "caller.json").read_text(),
            "webhook_key": webhook,
            "partner_port": (made / "partner.port").read_text(),
            **{name.lower(): value for name, value in vars(claims).items() if name.isupper()},
        }
        policy = TEMPLATE.with_name("policy.rego").read_text()
        values["policy"] = textwrap.indent(policy, " " * 8).rstrip()
        text = TEMPLATE.read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        file = folder / "doorward.yaml"
        file.write_text(text)
        return file


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_first_key(server):
    """Waits for the administrator's key that a first start prints, once its ports are open."""
    while time.perf_counter() - server.started < FIRST_START_SECONDS and server.alive():
        for line in server.tail().splitlines():
            if line.startswith("dw_ak_"):
                return line
        time.sleep(0.01)
    raise NotMeasurable(f"`doorward serve` printed no first key:\n{server.tail().strip() or 'it said nothing'}")


def ask(command):
    """Runs one of the program's own commands and returns what it printed; its refusal is the reason."""
    words = " ".join(map(str, command[1:3]))
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasurable(f"`doorward {words}`: {error}") from None
    if done.returncode != 0:
        raise NotMeasurable(f"`doorward {words}` failed:\n{(done.stdout + done.stderr)[-1500:].strip()}")
    return done.stdout
