"""Doorward as a subject, set up by `doorward.yaml` beside the command.

The file is a template: `@listen@`, `@upstream@`, `@made@` (the folder of keys
and tokens) and `@data@` are filled in. The program itself is asked whether it
takes the file; a Doorward that can't be measured is skipped with its own
words, never pretended.
"""

import pathlib
import subprocess

from .plan import CORE_OF_SUBJECT
from .process import Server

TEMPLATE = pathlib.Path(__file__).resolve().parents[1] / "doorward.yaml"


class NotMeasurable(Exception):
    """Why the program can't be measured."""


class Doorward:
    """The gateway with one worker thread."""

    name = "Doorward"
    takes_jwt = True
    #: Where the template mounts the same upstream, by what a call carries.
    paths = {"none": "/public/orders", "key": "/key/orders", "jwt": "/jwt/orders"}

    def __init__(self):
        self._prepared = None

    def prepare(self, tools, made):
        """Asks the program to check the settings; the first answer holds for all cases."""
        if self._prepared is None:
            try:
                self._prepare(tools, made)
                self._prepared = True
            except NotMeasurable as reason:
                self._prepared = reason
        if self._prepared is not True:
            raise self._prepared

    def _prepare(self, tools, made):
        folder = made / "doorward"
        folder.mkdir()
        file = _settings(folder, 1, 2, made, tls=False)
        _ask([tools.doorward, "config", "check", "--config", file])

    def key_file(self, made):
        """The file with the API key."""
        return made / "doorward/key.txt"

    def start(self, tools, folder, ports, made, tls):
        folder.mkdir()
        file = _settings(folder, ports.listen, ports.upstream, made, tls)
        command = [tools.doorward, "serve", "--config", file]
        # Pinned to one core, tokio starts one worker thread; said once more for the reader.
        return Server(command, CORE_OF_SUBJECT, folder / "log", env={"TOKIO_WORKER_THREADS": "1"}, cwd=folder)


def _ask(command):
    """Runs one of the program's own commands and returns what it printed."""
    words = " ".join(map(str, command[1:]))
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasurable(f"`doorward {words}`: {error}") from None
    if done.returncode != 0:
        raise NotMeasurable(f"`doorward {words}` failed:\n{(done.stdout + done.stderr)[-1500:].rstrip()}")
    return done.stdout


def _settings(folder, listen, upstream, made, tls):
    text = TEMPLATE.read_text()
    values = {"listen": listen, "upstream": upstream, "made": made, "data": folder, "tls": str(tls).lower()}
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    file = folder / "doorward.yaml"
    file.write_text(text)
    return file
