"""Counts the instructions of one request by callgrind (make bench-instructions), and compares them with a baseline.

Times depend on the machine, and on what else it does; counts of instructions repeat within half a percent. They depend
on the interpreter and its libraries, so `bench/instructions.json` names the Python that it was measured with. Another
Python prints its figures and compares nothing.

Needs valgrind (Debian: apt-get install valgrind).
"""

import argparse
import http.client
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.bodies import Request, chat
from bench.servers import HERE, HERE_TREE, Tree, free_port, wait_for
from bench.team import issued

BASELINE = HERE / "instructions.json"
TOLERANCE = 0.03
WARM_UP = 110
"""Requests before counting begins: caches and specialised bytecode are in place by then."""
COUNTED = 100
_AT_ONCE = 10
"""Requests of a team at the same time: their rows in the ledger share a commit, as they do under load."""
KINDS = ("unary", "stream", "team")
_NO_VALGRIND = "valgrind: not found. On Debian: apt-get install valgrind"
_STILL = (
    "import runpy, gateway.server.issued_keys as keys; keys._POLL = 3600.0; "
    "runpy.run_module('gateway', run_name='__main__', alter_sys=True)"
)
"""A gateway that does not look for new keys twice a second: below valgrind, that would be a part of each request."""


def ask(connections: Sequence[http.client.HTTPConnection], request: Request, key: str, times: int) -> None:
    """Send a request some times, on all connections at once. Raises RuntimeError for an answer that is no 200."""
    for _ in range(times // len(connections)):
        for connection in connections:
            connection.request("POST", request.path, request.body, request.head(key))
        for connection in connections:
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise RuntimeError(f"the gateway answered {response.status}")


def control(*arguments: str) -> None:
    """Tell callgrind what to do."""
    subprocess.run(
        ["callgrind_control", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )


def count(kind: str, folder: Path, tree: Tree = HERE_TREE) -> float:
    """Return the instructions of one request. Raises OSError without valgrind."""
    return _total(profile(kind, folder, tree)) / COUNTED


def profile(kind: str, folder: Path, tree: Tree) -> Path:
    """Return callgrind's file of the counted requests. Raises OSError without valgrind."""
    if shutil.which("valgrind") is None:
        raise OSError(_NO_VALGRIND)
    ports = free_port(), free_port()
    config, key = issued(tree, folder) if kind == "team" else (tree.folder / "config/gateway.yaml", "k")
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    upstream = subprocess.Popen([sys.executable, str(HERE / "upstream.py"), str(ports[0])])
    wait_for(ports[0])
    python, *words = tree.command(ports[1], f"http://127.0.0.1:{ports[0]}", config)
    command = [python, "-c", _STILL, *words[2:]] if kind == "team" else [python, *words]
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--quiet"]
    gateway = subprocess.Popen(
        [*valgrind, f"--callgrind-out-file={folder}/{kind}", *command],
        cwd=tree.folder,
        env=environ,
        stderr=subprocess.DEVNULL,
    )
    try:
        connections = [_connected(ports[1]) for _ in range(_AT_ONCE if kind == "team" else 1)]
        request = chat(streamed=kind == "stream")
        ask(connections, request, key, WARM_UP - 10)
        control("--instr=on", str(gateway.pid))
        ask(connections, request, key, 10)
        control("--zero", str(gateway.pid))
        ask(connections, request, key, COUNTED)
        control("--dump", str(gateway.pid))
    finally:
        for process in (gateway, upstream):
            process.terminate()
            process.wait(60)
    return folder / f"{kind}.1"  # not the other file, which has the end of the process


def _connected(port: int) -> http.client.HTTPConnection:
    """Return a connection to a gateway that starts slowly, below valgrind."""
    end = time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.connect()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return connection


def _total(dump: Path) -> int:
    """Return the instructions of a dump."""
    lines = dump.read_text(errors="replace").splitlines()
    totals = [int(line.split()[1]) for line in lines if line.startswith(("summary:", "totals:"))]
    return max(totals, default=0)


def judge(counts: Mapping[str, int], baseline: Mapping[str, Any], python: str) -> tuple[bool, list[str]]:
    """Return whether no count is above the baseline by more than the tolerance, and a line for each."""
    lines, passed = [], True
    for kind, value in counts.items():
        if baseline["python"] != python:
            lines.append(
                f"{kind}: {value:,} instructions, not compared: the baseline is of Python {baseline['python']}, "
                f"this is {python}"
            )
            continue
        change, is_worse = value / baseline[kind] - 1, value > baseline[kind] * (1 + TOLERANCE)
        verdict, hint = "MISS" if is_worse else "PASS", ""
        if is_worse:
            passed, hint = False, f"; more than {TOLERANCE:.0%} above bench/instructions.json"
        elif change < -TOLERANCE:
            hint = "; `make bench-instructions WRITE=1` keeps the gain"
        lines.append(f"{verdict}  {kind}: {value:,} instructions, {change:+.1%}{hint}")
    if not passed:
        lines.append("A request costs more than before. Where that is meant: make bench-instructions WRITE=1")
    return passed, lines


def main() -> int:
    """Return the exit code: 1 where a count is more than 3 % above the baseline, 2 without valgrind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="make what is measured the baseline")
    parser.add_argument("--optional", action="store_true", help="pass without valgrind, as `make check` does")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        text = f"{_NO_VALGRIND} (instructions are not counted)" if options.optional else _NO_VALGRIND
        print(text, file=sys.stderr)
        return 0 if options.optional else 2
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor() as threads:
        values = threads.map(lambda kind: round(count(kind, Path(name))), KINDS)
        counts = dict(zip(KINDS, values, strict=True))
    python = f"{platform.python_version()} {platform.machine()}"
    if options.write:
        BASELINE.write_text(json.dumps({"python": python, **counts}, indent=1) + "\n")
    passed, lines = judge(counts, json.loads(BASELINE.read_text()), python)
    print("\n".join(lines))
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
