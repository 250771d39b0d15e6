"""Writes the figures of docs/why/performance.md, and its two flame graphs (make bench-page).

    make bench-page OLD=5f03f92      race, count, sample, and write; takes ten minutes, on a quiet machine

Reads the JSON of a race. Counts the instructions of each library by callgrind, and samples the gateway under load by
py-spy, which another process does, so that the time of a request is measured without it.

Needs py-spy (pip install py-spy), valgrind, and what `make bench` needs.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import instructions
from bench.bodies import chat
from bench.load import closed
from bench.page.flame import svg
from bench.page.libraries import GROUPS, by_library
from bench.page.stacks import STAGES, Stacks, parse, shares
from bench.servers import LOAD_CORE, ROOT, Server, Servers, Tree
from bench.table import markdown, piped
from bench.tree import this_tree

PAGE = ROOT / "docs" / "why" / "performance.md"
BEGIN, END = "<!-- figures: make bench-page -->\n", "<!-- end of figures -->\n"
_CONNECTIONS = 32
_SECONDS = 10
_PER_SECOND = 400
_KINDS = ("unary", "stream")
_TITLES = {"unary": "a whole chat answer", "stream": "a stream of 100 events"}


@dataclass(frozen=True)
class Profile:
    """Where one kind of request spends its time and its instructions."""

    micros: float
    """Processor time of a request."""
    stacks: Stacks
    libraries: Mapping[str, float]
    """Thousands of instructions of a request."""


def sampled(server: Server, kind: str, folder: Path) -> tuple[float, Stacks]:
    """Return the microseconds of a request, and stacks sampled under the same load."""
    request = chat(streamed=kind == "stream")
    micros = closed([server], request, _CONNECTIONS, _SECONDS // 2).micros
    raw = folder / f"{kind}.raw"
    with ThreadPoolExecutor(1) as threads:
        load = threads.submit(closed, [server], request, _CONNECTIONS, _SECONDS + 2)
        _record(server, raw)
        load.result()
    return micros, parse(raw.read_text())


def _record(server: Server, raw: Path) -> None:
    record = ["py-spy", "record", "--pid", server.process.pid, "--rate", _PER_SECOND, "--duration", _SECONDS]
    options = ["--format", "raw", "--function", "--threads", "--output", raw]
    command = ["taskset", "-c", LOAD_CORE, *record, *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"py-spy: {done.stderr.strip()}")


def profiles(tree: Tree, folder: Path) -> dict[str, Profile]:
    """Return the profile of each kind of request."""
    servers = Servers(folder)
    try:
        server = servers.gateway("ours", tree)
        samples = {kind: sampled(server, kind, folder) for kind in _KINDS}
    finally:
        servers.stop()
    result = {}
    for kind, (micros, stacks) in samples.items():
        with instructions.profile(kind, folder, tree).open(errors="replace") as lines:
            counts = by_library(lines)
        libraries = {name: count / instructions.COUNTED / 1000 for name, count in counts.items()}
        result[kind] = Profile(micros, stacks, libraries)
    return result


def block(document: Mapping[str, Any], kinds: Mapping[str, Profile]) -> str:
    """Return what stands between the marks of the page."""
    about = document["about"]
    note = " **From a quick run, to be measured again.**" if about["quick"] else ""
    head = (
        f"Commit {about['commit']}, {about['python']}, {about['machine']}; `old` is commit {about['old'] or '–'}. "
        f"The load of the machine was {about['load']:.1f} before the run.{note}"
    )
    names = list(kinds)
    stages = [["stage", *(f"{name} µs" for name in names), "does"], ["---"] * (2 + len(names))]
    parts = {name: shares(profile.stacks) for name, profile in kinds.items()}
    for stage, does in STAGES.items():
        cells = (f"{parts[name][stage] * profile.micros:.1f}" for name, profile in kinds.items())
        stages.append([stage, *cells, does])
    stages.append(["all", *(f"{profile.micros:.1f}" for profile in kinds.values()), ""])
    libraries = [["library", *(f"{name}, thousands" for name in names), "does"], ["---"] * (2 + len(names))]
    for library, does in GROUPS.items():
        libraries.append(
            [library, *(f"{profile.libraries[library]:,.0f}" for profile in kinds.values()), does]
        )
    totals = (f"{sum(profile.libraries.values()):,.0f}" for profile in kinds.values())
    libraries.append(["all", *totals, ""])
    return (
        f"{head}\n\n{markdown(document)}\n\n### Time by stage\n\n{piped(stages)}\n\n"
        f"### Instructions by library\n\n{piped(libraries)}\n"
    )


def replaced(page: str, text: str) -> str:
    """Return a page with new figures. Raises ValueError without its two marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN.strip()} … {END.strip()}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def main() -> int:
    """Return the exit code: 2 without what it needs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("race", type=Path, help="what `make bench OUT=FILE` wrote")
    parser.add_argument("--python", default=sys.executable, help="Python of the gateway (default: this one)")
    options = parser.parse_args()
    missing = [tool for tool in ("py-spy", "valgrind", "wrk", "taskset") if shutil.which(tool) is None]
    if missing:
        print(
            f"{' and '.join(missing)}: not found. pip install py-spy; apt-get install valgrind wrk",
            file=sys.stderr,
        )
        return 2
    document = json.loads(options.race.read_text())
    with tempfile.TemporaryDirectory() as name:
        kinds = profiles(this_tree(options.python), Path(name))
    for kind, profile in kinds.items():
        title = f"{_TITLES[kind]}: {profile.micros:.0f} µs of processor time"
        (PAGE.parent / f"flame-{kind}.svg").write_text(svg(profile.stacks, title))
    PAGE.write_text(replaced(PAGE.read_text(), block(document, kinds)))
    print(f"written: {PAGE.relative_to(ROOT)}, flame-unary.svg, flame-stream.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
