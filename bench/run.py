"""Races the gateway against nginx and others, in turn on one core under the same load (make bench).

    make bench                                     10 minutes at most; QUICK=1: 2 minutes
    make bench OLD=5f03f92                         … and a commit of this repository, with packages of its own
    make bench RACE='name=command'                 … and a command, which serves on $PORT and asks $UPSTREAM
    make bench OUT=FILE STREAMS=1000,5000          write the figures as JSON, hold so many live streams
    make bench ONLY=plain,live                     some of the phases
    make bench PYTHON=/usr/bin/python3             all gateways on that Python

Core 0 runs the servers, core 1 the upstream and the load: wrk, or clients of this program. CPU is user and system time
of all processes of a server. In each round the servers are asked in turn; the figure is the least of the rounds for
CPU, else the median. A race named `node` is taken for the ancestor. Several races: one a line.

Phases: start, plain, live, special, latency, awake, memory, instances, instructions. `awake` is `plain` and `live` once
more while idle cores poll (bench/idle.py); it needs root, and a virtual machine with haltpoll. `instructions` counts
those of plain requests by callgrind (bench/instructions.py), the same on a busy machine; it needs valgrind.

    ours   config/gateway.yaml as it is shipped, every feature on, with the client's own key
    team   the same with an issued key, limits, budgets and a durable ledger
    nginx  a plain reverse proxy of one worker that is sent Gemini's own requests
    bare   the smallest relay in aiohttp

Needs wrk, nginx and taskset (Debian: apt-get install wrk nginx util-linux) and two cores.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from bench import measures, table, tree
from bench.servers import LOAD_CORE, ROOT, Servers, Tree

_TOOLS = ("wrk", "nginx", "taskset")
_RACED = {"plain", "live", "special", "latency", "awake"}
PHASES = ("start", "plain", "live", "special", "latency", "awake", "memory", "instances", "instructions")


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line and of the variables of make."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--old", metavar="COMMIT", help="a commit to race")
    parser.add_argument("--race", action="append", default=[], type=race, metavar="NAME=COMMAND")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write JSON")
    parser.add_argument(
        "--streams", type=counts, default=(1000,), metavar="N,…", help="live streams (default 1000)"
    )
    parser.add_argument(
        "--only", type=phases, default=PHASES, metavar="NAME,…", help=f"some of {', '.join(PHASES)}"
    )
    parser.add_argument("--python", default=sys.executable, help="Python of the gateways (default: this one)")
    parser.add_argument("--gate", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args(words)
    try:
        options.race += [race(line) for line in os.environ.get("RACE", "").splitlines() if line.strip()]
    except argparse.ArgumentTypeError as exc:
        parser.error(str(exc))
    names = [name for name, _ in options.race]
    if len(set(names)) < len(names):
        parser.error(f"RACE: names must differ: {', '.join(names)}")
    return options


def race(text: str) -> tuple[str, str]:
    """Return name and command. Raises ArgumentTypeError."""
    name, separator, command = (part.strip() for part in text.partition("="))
    if not separator or not name or not command:
        raise argparse.ArgumentTypeError(
            f"RACE must be name=command, such as 'node=node server.mjs $PORT': {text!r}"
        )
    if name in (table.OURS, table.NGINX, table.BARE, table.TEAM, table.OLD):
        raise argparse.ArgumentTypeError(f"RACE: {name!r} is the name of another server of this run")
    return name, command


def phases(text: str) -> tuple[str, ...]:
    """Return names of what is to be measured. Raises ArgumentTypeError."""
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in PHASES]:
        raise argparse.ArgumentTypeError(f"ONLY: no {', '.join(unknown)} among {', '.join(PHASES)}")
    return names


def counts(text: str) -> tuple[int, ...]:
    """Return ascending numbers of streams. Raises ArgumentTypeError."""
    try:
        result = tuple(sorted({int(word) for word in text.split(",")}))
    except ValueError:
        raise argparse.ArgumentTypeError(f"STREAMS must be numbers, such as 1000,5000: {text!r}") from None
    if result[0] < 1:
        raise argparse.ArgumentTypeError(f"STREAMS must be numbers above 0: {text!r}")
    return result


def run(options: argparse.Namespace, folder: Path) -> table.Results:
    """Return the figures of all measures."""
    results = table.Results()
    short = measures.QUICK if options.quick else measures.Plan()
    plan = measures.Plan(short.rounds, short.seconds, options.streams)
    trees: dict[str, Tree] = {table.OURS: tree.this_tree(options.python)}
    if options.old:
        trees[table.OLD] = tree.commit_tree(options.old, options.python)
    ours = trees[table.OURS]
    os.sched_setaffinity(0, {LOAD_CORE})
    servers = Servers(folder)

    def race_all() -> None:
        gateways = [servers.gateway(name, each) for name, each in trees.items()]
        nginx, team = servers.nginx(), measures.team(servers, ours, folder)
        contenders = [nginx, gateways[0], team, servers.bare(ours), *gateways[1:]]
        contenders += [servers.race(name, command) for name, command in options.race]
        phase("plain", lambda: measures.plain(results, contenders, plan))
        phase("live", lambda: uvloop.run(measures.live(results, [nginx, *gateways], plan)))
        phase("special", lambda: measures.special(results, gateways, plan))
        phase("latency", lambda: uvloop.run(measures.latency(results, [nginx, *gateways], plan)))
        phase("awake", lambda: measures.awake(results, contenders, plan))
        servers.stop(*contenders)

    def phase(name: str, measure: Callable[[], None]) -> None:
        if name in options.only:
            _tolerated(measure)

    try:
        phase("start", lambda: measures.start(results, trees, folder, plan))
        if set(options.only) & _RACED:
            race_all()
        phase("memory", lambda: uvloop.run(measures.memory(results, servers, ours, folder, plan)))
        phase("instances", lambda: measures.instances(results, servers, ours, plan))
        phase("instructions", lambda: measures.counted(results, trees, folder))
    finally:
        servers.stop()
    return results


def _tolerated(measure: Callable[[], None]) -> None:
    """Go on with what is measured next where something fails: its figures are missing."""
    try:
        measure()
    except (RuntimeError, OSError, TimeoutError) as exc:
        print(f"not measured to the end: {exc}", file=sys.stderr)


def about(options: argparse.Namespace, seconds: float, load: float) -> dict[str, object]:
    """Return what tells this run from others."""
    version = subprocess.run(
        [options.python, "-V"], capture_output=True, text=True, check=True
    ).stdout.strip()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "commit": commit.stdout.strip(),
        "old": options.old,
        "python": version,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}",
        "load": load,
        "quick": options.quick,
        "seconds": round(seconds),
    }


def main() -> int:
    """Return the exit code: 1 for a missed target with --gate, 2 for what cannot be run."""
    options = arguments()
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing or (os.cpu_count() or 1) < 2:
        what = f"{' and '.join(missing)}: not found." if missing else "a second core: there is none."
        print(f"{what} On Debian: apt-get install wrk nginx util-linux; two cores", file=sys.stderr)
        return 2
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    begin, load = time.monotonic(), os.getloadavg()[0]
    if load > 0.5:
        print(
            f"load {load:.1f}: this machine does other things as well; latencies and rates mean little",
            file=sys.stderr,
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker is another user
        try:
            results = run(options, folder)
        except ValueError as exc:
            print(exc, file=sys.stderr)
            return 2
    goals = table.targets(options.streams)
    run_of = about(options, time.monotonic() - begin, load)
    print(table.table(results, goals))
    print(f"\n{run_of['seconds']} s, {run_of['python']}, {run_of['machine']}")
    if options.out is not None:
        document = table.document(results, goals, run_of)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    figures = results.figures()
    return int(options.gate and any(goal.verdict(figures) == "MISS" for goal in goals))


if __name__ == "__main__":
    sys.exit(main())
