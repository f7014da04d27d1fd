"""The servers: each is set up once, and started afresh for each measurement."""

import base64
import json
import pathlib
import secrets
import shutil

from bench.doorward import NotMeasurable, ask, await_first_key
from bench.plan import CORE_OF_SUBJECT
from bench.process import Server

HERE = pathlib.Path(__file__).resolve().parents[1]


class Peer:
    """npm's oidc-provider, one process, in memory."""

    name = "oidc-provider"
    opaque = True

    def prepare(self, site):
        return site.facts

    def start(self, site, folder):
        folder.mkdir()
        command = [site.tools.node, site.scripts / "peer.mjs", site.facts]
        return Server(command, CORE_OF_SUBJECT, folder / "log", env={"NODE_ENV": "production"})

    def stopped(self, site):
        """Nothing is left."""


class Doorward:
    """The issuer with one worker thread, on one of its databases."""

    opaque = False

    def __init__(self, database):
        self.database = database
        self.name = f"Doorward, {database}"
        self._facts = None

    def prepare(self, site):
        """Makes the folder and the database that every start gets a copy of."""
        if self._facts is not None:
            return self._facts
        installed = site.made / self.database
        installed.mkdir()
        master = installed / "master.key"
        master.touch(mode=0o600)
        master.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
        shutil.copy(site.scripts / "clients.yaml", installed)
        if self.database == "PostgreSQL":
            site.postgres().create("prepared")
        file = self._settings(site, installed, "prepared")
        doorward = site.tools.doorward
        ask([doorward, "config", "check", "--config", file])
        server = Server([doorward, "serve", "--config", file], CORE_OF_SUBJECT, installed / "log")
        try:
            key = installed / "admin.key"
            key.touch(mode=0o600)
            key.write_text(await_first_key(server))
            admin = ["--admin-url", f"http://127.0.0.1:{site.admin}", "--admin-key-file", key, "--output", "json"]
            made = lambda *words: json.loads(ask([doorward, *words, *admin]))["secret"]  # noqa: E731
            facts = json.loads(site.facts.read_text())
            for name, client in facts["clients"].items():
                if "secret" in client["own"]:
                    client["own"]["secret"] = made("client", "secret", "create", name)
            try:
                facts["person"]["password"] = made("user", "password", "set", "alice")
            except NotMeasurable as reason:
                print(f"NOTE: no person can log in: {reason}", flush=True)
        finally:
            server.stop()
        self._facts = site.made / f"{self.database}.json"
        self._facts.touch(mode=0o600)
        self._facts.write_text(json.dumps(facts))
        return self._facts

    def start(self, site, folder):
        shutil.copytree(site.made / self.database, folder)
        if self.database == "PostgreSQL":
            site.postgres().create("measured", "prepared")
        file = self._settings(site, folder, "measured")
        return Server([site.tools.doorward, "serve", "--config", file, "--workers", "1"], CORE_OF_SUBJECT, folder / "log")

    def stopped(self, site):
        """Drops what the measurement wrote."""
        if self.database == "PostgreSQL":
            site.postgres().drop("measured")

    def _settings(self, site, folder, database):
        url = site.postgres().url(database) if self.database == "PostgreSQL" else "sqlite"
        text = (HERE / "doorward.yaml").read_text()
        for name, value in {"listen": site.listen, "admin": site.admin, "database": url}.items():
            text = text.replace(f"@{name}@", str(value))
        file = folder / "doorward.yaml"
        file.write_text(text)
        return file
