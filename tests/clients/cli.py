"""Runs a command-line client in a throw-away home, with telemetry off and a time limit."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests.clients import common

Result = subprocess.CompletedProcess[str]

FOLDER = Path(tempfile.mkdtemp(prefix="gateway-client-"))
HOME = FOLDER / "home"
WORK = FOLDER / "work"
"""The client's working directory."""
IMAGE = WORK / "red.png"
for _folder in (HOME, WORK):
    _folder.mkdir()
IMAGE.write_bytes(common.PNG)

_ENVIRON = {
    "HOME": str(HOME),
    "DO_NOT_TRACK": "1",
    "DISABLE_TELEMETRY": "1",
    "NO_COLOR": "1",
    "CI": "1",
    "TERM": "dumb",
}
_INHERITED = ("LANG", "LD_LIBRARY_PATH")


def path_of(program: str) -> Path:
    """Return the place of a program below CLIENT_DIR, a virtual environment or a folder with node_modules."""
    client = Path(os.environ["CLIENT_DIR"])
    places = (client / "bin" / program, client / "node_modules" / ".bin" / program)
    path = next((place for place in places if place.exists()), None)
    assert path, f"no {program} in {client}"
    return path


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a client. Its own folder comes first in PATH: it may bring a Node of its own."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    modules = Path(os.environ["CLIENT_DIR"]) / "node_modules" / ".bin"
    return {**inherited, "PATH": f"{modules}{os.pathsep}{os.environ['PATH']}", **_ENVIRON, **own}


def execute(
    program: str,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    stdin: str = "",
) -> Result:
    """Run a program of the client in WORK."""
    result = subprocess.run(
        [path_of(program), *arguments],
        env=environment(environ),
        cwd=WORK,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    print(f"--- {program} {' '.join(arguments)[:200]}: {result.returncode}", file=sys.stderr)
    print(result.stdout[-3000:], result.stderr[-3000:], sep="\n", file=sys.stderr)
    common.watch().read(result.stderr)
    return result


def connect(program: str, key: str) -> dict[str, str]:
    """Let `gateway connect` write a program's settings into the throw-away home; return the variables for its shell."""
    command = (sys.executable, "-m", "gateway", "connect", program, "--write")
    subprocess.run(
        [*command, "--url", common.ROOT_URL, "--model", common.MODEL],
        env={"PATH": os.environ["PATH"], "HOME": str(HOME), "GATEWAY_API_KEY": key},
        check=True,
        stdout=sys.stderr,
    )
    profile = HOME / ".profile"
    lines = profile.read_text().splitlines() if profile.exists() else []
    exports = (line.removeprefix("export ").partition("=") for line in lines if line.startswith("export "))
    return {name: value for name, _, value in exports}


def output_end(result: Result) -> str:
    """Return the end of what a program printed, for the message of a failure."""
    return f"exit code {result.returncode}: {result.stdout[-300:]} {result.stderr[-300:]}"


def json_lines(text: str) -> list[dict[str, Any]]:
    """Return the lines that are JSON objects."""
    objects = []
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                objects.append(json.loads(line))
            except ValueError:
                continue
    return objects


def expect_401(result: Result) -> str:
    """Return a note that the program ended and showed the 401. Raises AssertionError if it did not."""
    common.watch().errors_expected = True
    text = result.stdout + result.stderr
    signs = ("401", "ncorrect API key", "uthenticat")
    assert any(sign in text for sign in signs), f"no sign of the 401: {output_end(result)}"
    return f"exit code {result.returncode}, the 401 is shown"


def person(value: object) -> str:
    """Return an object of PERSON_SCHEMA as a note. Raises AssertionError if it is none."""
    assert isinstance(value, dict), value
    assert set(value) == {"name", "age"}, value
    return str(value)


def run(client: str, checks: Mapping[str, common.Check | None]) -> NoReturn:
    """Run the checks (see common.run), and remove the throw-away home."""
    try:
        common.run(client, checks)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
