"""Doorward as a subject, set up by `doorward.yaml` beside the command.

The program itself is asked whether it takes the settings, and starts once on a
fresh folder, where an API key of its own is made through the admin API, so that
later starts find a database as an installed one would and measured calls carry a
key that is stored as an Argon2id hash. A Doorward that can't be measured is
skipped with its own words, never pretended.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import secrets
import shutil
import socket
import subprocess
import textwrap
import time
import urllib.request

from .claims import AUDIENCE, ISSUER, SCOPE
from .plan import CORE_OF_SUBJECT
from .process import Server

TEMPLATE = pathlib.Path(__file__).resolve().parents[1] / "doorward.yaml"

#: Opaque tokens of our own issuer, each a row in its store.
OPAQUE_TOKENS = 100

#: Seconds for the very first start, which makes the database.
FIRST_START_SECONDS = 20


class NotMeasurable(Exception):
    """Why the program can't be measured."""


class Doorward:
    """The gateway with one worker thread."""

    name = "Doorward"
    takes_jwt = True
    #: Where the template mounts the same upstream, by what a call carries.
    paths = {
        "none": "/public/orders",
        "key": "/key/orders",
        "jwt": "/jwt/orders",
        "opaque": "/opaque/orders",
        "hmac": "/hmac/orders",
        "relation": "/relation/orders/1",
        "policy": "/policy/orders",
    }

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
            # Every start has the same issuer, as tokens name it.
            (made / "issuer.port").write_text(str(tokens))
            file = self._settings(installed, _free_port(), admin, 1, made, tls=False)
            ask([tools.doorward, "config", "check", "--config", file])
            server = Server([tools.doorward, "serve", "--config", file], CORE_OF_SUBJECT, made / "log")
            try:
                first = await_first_key(server)
                self._make_credentials(tools, made, f"http://127.0.0.1:{admin}", f"http://127.0.0.1:{tokens}", first)
            finally:
                server.stop()
        except NotMeasurable as reason:
            refusal.write_text(str(reason))
            raise

    def key_file(self, made):
        """The file with the API key."""
        return made / "doorward.key"

    def opaque_file(self, made):
        """The file with opaque tokens, one a line."""
        return made / "opaque.txt"

    def signatures(self, folder, host, count):
        """A file with `count` values of `Authorization`, each signed for one GET of its own.

        The plain scheme of `docs/src/credentials/signed-requests.md`.
        """
        signer = json.loads((folder / "signer.json").read_text())
        created, empty = int(time.time()), hashlib.sha256(b"").hexdigest()
        file = folder / "hmac.txt"
        with open(file, "w", encoding="ascii") as out:
            for _ in range(count):
                nonce = secrets.token_hex(16)
                lines = ["HMAC-SHA256", str(created), nonce, "GET", host, self.paths["hmac"], empty]
                signature = hmac.new(signer["secret"].encode(), "\n".join(lines).encode(), "sha256").hexdigest()
                out.write(
                    f"HMAC-SHA256 keyid={signer['key_id']}, created={created}, nonce={nonce}, "
                    f"digest={empty}, signature={signature}\n"
                )
        return file

    def _make_credentials(self, tools, made, admin_url, issuer_url, first):
        """Makes what calls carry, as an administrator and a client would."""
        admin_key = made / "admin.key"
        _secret_file(admin_key, first)

        def tell(*words):
            asked = [tools.doorward, *words, "--admin-url", admin_url, "--admin-key-file", admin_key]
            return json.loads(ask([*asked, "--output", "json"]))

        grant = ["--application", "bench", "--scope", SCOPE, "--label", "Measuring"]
        apis = [word for api in ("keyed", "related", "policed") for word in ("--api", api)]
        key = tell("key", "create", *apis, *grant)
        _secret_file(self.key_file(made), key["secret"] + "\n")
        signer = tell("secret", "create", "--scheme", "hmac", "--api", "signed", *grant)
        found = {"key_id": signer["credential"]["signing"]["key_id"], "secret": signer["secret"]}
        _secret_file(made / "signer.json", json.dumps(found))
        # Who calls with a key is its application.
        caller = "service:app_" + tell("application", "show", "bench")["id"]
        tell("relation", "add", "order:1#shop@shop:north", f"shop:north#staff@{caller}")
        client = tell("client", "secret", "create", "bench-client")
        tokens = [_token(issuer_url, "bench-client", client["secret"]) for _ in range(OPAQUE_TOKENS)]
        _secret_file(self.opaque_file(made), "\n".join(tokens) + "\n")

    def start(self, tools, folder, ports, made, tls):
        shutil.copytree(made / "doorward", folder)
        file = self._settings(folder, ports.listen, _free_port(), ports.upstream, made, tls)
        command = [tools.doorward, "serve", "--config", file, "--workers", "1"]
        return Server(command, CORE_OF_SUBJECT, folder / "log")

    def _settings(self, folder, listen, admin, upstream, made, tls):
        certificate = f"{{ certificate_file: {made}/server.pem, key_file: {made}/server.key }}"
        values = {
            "listen": listen,
            "admin": admin,
            "tokens": (made / "issuer.port").read_text(),
            "upstream": upstream,
            "made": made,
            "tls": f", tls: {{ certificates: [{certificate}] }}" if tls else "",
            "record": str(self.record).lower(),
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "scope": SCOPE,
        }
        policy = TEMPLATE.with_name("policy.rego").read_text()
        values["policy"] = textwrap.indent(policy, " " * 8).rstrip()
        text = TEMPLATE.read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        file = folder / "doorward.yaml"
        file.write_text(text)
        return file


def _secret_file(path, text):
    path.touch(mode=0o600)
    path.write_text(text)


def _token(issuer_url, client, secret):
    """An access token by client credentials (RFC 6749 §4.4)."""
    basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
    request = urllib.request.Request(
        f"{issuer_url}/oauth/token",
        data=b"grant_type=client_credentials",
        headers={"Authorization": f"Basic {basic}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["access_token"]


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
