"""A systemctl of the tests: a program that keeps the state of units in a file, as far as `gateway roll` asks for it."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from gateway.server.process.lifecycle import ENDING

_PROGRAM = """#!{python} -I
import json, sys
from pathlib import Path

folder = Path({folder!r})
units = json.loads((folder / "units.json").read_text())
arguments = [word for word in sys.argv[1:] if word not in ("--no-reload", "--quiet")]
verb, rest = arguments[0], arguments[1:]
with (folder / "calls").open("a") as calls:
    calls.write(" ".join(arguments) + "\\n")
code = 0
if verb == "show":
    unit = units.get(rest[-1], {{}})
    print("ActiveState=" + unit.get("state", "inactive"))
    print("ActiveEnterTimestampMonotonic=" + str(unit.get("since", 0)))
    print("StatusText=" + unit.get("status", ""))
for name in rest if verb in ("start", "stop", "reset-failed") else ():
    unit = units.setdefault(name, {{}})
    if verb == "start" and unit.get("fails"):
        unit["state"], code = "failed", 1
        print("Job for " + name + " failed.", file=sys.stderr)
    elif verb == "start":
        now = max([0, *(entry.get("since", 0) for entry in units.values())]) + 1
        unit.update(state="active", since=now, status=unit.get("says", "serving on a socket of systemd"))
    elif not name.startswith("--"):
        unit.update(state="deactivating", status={ending!r}) if "--no-block" in rest else unit.update(state="inactive")
units.pop("--no-block", None)
(folder / "units.json").write_text(json.dumps(units))
sys.exit(code)
"""


class Systemctl:
    """The program in a folder of its own, and what it was asked."""

    def __init__(self, folder: Path, **units: dict[str, Any]) -> None:
        """`units` are the states of instances, such as `blue={"state": "active"}`."""
        self._folder = folder
        folder.mkdir()
        self.set(**units)
        for name, text in (
            ("systemctl", _PROGRAM.format(python=sys.executable, folder=str(folder), ending=ENDING)),
            ("journalctl", "#!/bin/sh\necho the last line of the log\n"),
        ):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"

    def set(self, **units: dict[str, Any]) -> None:
        """Set the states of instances."""
        states = {f"gateway@{name}.service": unit for name, unit in units.items()}
        (self._folder / "units.json").write_text(json.dumps(states))

    def state(self, name: str) -> str:
        """Return an instance's state."""
        units = json.loads((self._folder / "units.json").read_text())
        return str(units.get(f"gateway@{name}.service", {}).get("state", "inactive"))

    def calls(self) -> list[str]:
        """Return the commands that changed something, in order."""
        lines = (self._folder / "calls").read_text().splitlines()
        return [line.replace(".service", "") for line in lines if not line.startswith("show ")]
