"""What `make bench` measures; each function adds its figures to the results."""

import asyncio
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench import instructions, table
from bench.bodies import Request, chat, gemini, paced, unusual
from bench.clients import Streams, at_rate, once, percentile
from bench.idle import polling
from bench.load import Closed, closed
from bench.servers import LOAD_CORE, SERVER_CORE, Server, Servers, Tree, free_port, spawn
from bench.table import Measure, Results, as_it_is
from bench.team import issued

_CONNECTIONS = 32
_WARM_UP = 1
"""Seconds of load before a server's first round: caches and specialised bytecode are in place by then."""
_LIVE_STREAMS, _PACE = 8, 4
"""Streams with an event every so many milliseconds: 2,000 events per second, so that hardly two share a read."""
_LIVE = (table.NGINX, table.OURS, table.OLD)
_COUNTED = (("unary", table.UNARY), ("stream", table.STREAM))
_TRIES = 3
"""Of a round in which answers fail."""
_HELD_PACE = 1000
_PROBE_RATE = 50.0
_MANY = "limits: {streams: 20000}\nconnections: {per_address: 20000}\n"


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    rounds: int = 5
    seconds: int = 2
    """Length of one round."""
    streams: Sequence[int] = (1000,)


QUICK = Plan(rounds=2, seconds=1)


def team(servers: Servers, tree: Tree, folder: Path) -> Server:
    """Start a gateway of a team."""
    return servers.gateway(table.TEAM, tree, *issued(tree, folder))


def plain(
    results: Results, contenders: Sequence[Server], plan: Plan, named: Callable[[Measure], Measure] = as_it_is
) -> None:
    """Measure plain requests and streams of a hundred events."""
    for streamed, cost, rate in (
        (False, table.UNARY, table.UNARY_RATE),
        (True, table.STREAM, table.STREAM_RATE),
    ):
        requests = {
            server.name: gemini(streamed=streamed) if server.is_gemini else chat(streamed=streamed)
            for server in contenders
        }
        able = [server for server in contenders if asyncio.run(_answers(server, requests[server.name]))]
        for server, figures in _interleaved(able, requests, _CONNECTIONS, plan):
            results.add(named(cost), server.name, figures.micros)
            results.add(named(rate), server.name, figures.rps)


def awake(results: Results, contenders: Sequence[Server], plan: Plan) -> None:
    """Measure plain requests, streams and live events once more, while idle cores poll. Raises RuntimeError."""
    with polling():
        plain(results, contenders, plan, table.awake)
        uvloop.run(
            live(results, [server for server in contenders if server.name in _LIVE], plan, table.awake)
        )


def counted(results: Results, trees: Mapping[str, Tree], folder: Path) -> None:
    """Count the instructions of plain requests and streams. Raises OSError without valgrind."""
    contenders = [(name, kind, measure, tree) for name, tree in trees.items() for kind, measure in _COUNTED]
    for name, kind, measure, tree in [*contenders, (table.TEAM, "team", table.UNARY, trees[table.OURS])]:
        inside = folder / f"{name}-{kind}"
        inside.mkdir()
        count = instructions.count(kind, inside, tree)
        results.add(table.instructions(measure), name, count / 1000)


def special(results: Results, contenders: Sequence[Server], plan: Plan) -> None:
    """Measure requests that are not plain."""
    rounds = Plan(max(2, plan.rounds - 2), 1)
    for name, request in unusual().items():
        requests = dict.fromkeys((server.name for server in contenders), request)
        for server, figures in _interleaved(contenders, requests, _CONNECTIONS // 2, rounds):
            results.add(table.unusual(name), server.name, figures.micros)


def _interleaved(
    servers: Sequence[Server], requests: Mapping[str, Request], connections: int, plan: Plan
) -> Iterator[tuple[Server, Closed]]:
    """Yield the figures of all rounds; in each round the servers are asked in turn."""
    for server in servers:
        _measured([server], requests[server.name], connections, _WARM_UP)
    for server in [*servers] * plan.rounds:
        figures = _measured([server], requests[server.name], connections, plan.seconds)
        if figures is not None:
            yield server, figures


def _measured(servers: Sequence[Server], request: Request, connections: int, seconds: float) -> Closed | None:
    """Return the figures of one round, None if answers failed each time.

    A gateway whose core is taken by other work refuses requests as overloaded, and a refusal costs next to nothing.
    """
    for _ in range(_TRIES):
        try:
            return closed(servers, request, connections, seconds)
        except RuntimeError as exc:
            print(f"a round is left out: {exc}", file=sys.stderr)
    return None


async def _answers(server: Server, request: Request) -> bool:
    """Return whether a server can answer a request; ours must."""
    try:
        call = await once(server, request)
    except (RuntimeError, OSError, TimeoutError):
        if server.name in (table.OURS, table.NGINX):
            raise
        return False
    return (call.events > 0) == request.streamed


async def live(
    results: Results, contenders: Sequence[Server], plan: Plan, named: Callable[[Measure], Measure] = as_it_is
) -> None:
    """Measure events that arrive one at a time."""
    for server in [*contenders] * max(2, plan.rounds - 2):
        streams = Streams(server, _PACE)
        await streams.open(_LIVE_STREAMS)
        results.add(named(table.LIVE), server.name, (await streams.watch(plan.seconds)).micros)
        await streams.close()


async def latency(results: Results, contenders: Sequence[Server], plan: Plan) -> None:
    """Measure latency at rates far below what can be answered."""
    seconds = plan.seconds * 2
    for server in [*contenders] * max(2, plan.rounds - 1):
        unary = gemini() if server.is_gemini else chat()
        times = await at_rate(server, unary, 200, seconds)
        results.add(table.P50, server.name, percentile(times, 50))
        results.add(table.P99, server.name, percentile(times, 99))
        times = await at_rate(server, paced(_PACE, 5, is_gemini=server.is_gemini), 50, seconds)
        results.add(table.FIRST_P50, server.name, percentile(times, 50))
        results.add(table.FIRST_P99, server.name, percentile(times, 99))


async def memory(results: Results, servers: Servers, tree: Tree, folder: Path, plan: Plan) -> None:
    """Measure what live streams hold, and fresh requests beside them, on a gateway of their own."""
    config = folder / "many.yaml"
    config.write_text(_MANY)
    server = servers.gateway(table.OURS, tree, config)
    seconds = plan.seconds * 2
    await at_rate(server, chat(), 200, seconds)  # what a first request imports and caches
    times = await at_rate(server, chat(), _PROBE_RATE, seconds, fresh=True)
    results.add(table.fresh(0), server.name, percentile(times, 99))
    idle, streams = server.memory(), Streams(server, _HELD_PACE)
    for count in plan.streams:
        await streams.open(count)
        await streams.watch(seconds)
        results.add(table.held(count), server.name, (server.memory() - idle) * 1000 / count)
        times = await at_rate(server, chat(), _PROBE_RATE, seconds, fresh=True)
        results.add(table.fresh(count), server.name, percentile(times, 99))
    await streams.close()
    servers.stop(server)


def start(results: Results, trees: Mapping[str, Tree], folder: Path, plan: Plan) -> None:
    """Measure the time until READY=1 (sd_notify(3)), and the memory a second later.

    The memory is that of the last start: the first one of a checkout compiles its modules, which leaves 2 MB behind.
    """
    rounds = max(3, plan.rounds)
    for number in range(rounds):
        for name, tree in trees.items():
            port = free_port()
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
                path = folder / f"notify-{name}-{number}"
                notify.bind(str(path))
                notify.settimeout(30)
                begin = time.perf_counter()
                command = tree.command(port, "http://127.0.0.1:9")
                process = spawn(SERVER_CORE, command, tree.folder, {"NOTIFY_SOCKET": str(path)})
                server = Server(name, port, process)
                try:
                    while b"READY=1" not in notify.recv(1000):
                        pass
                    results.add(table.READY, name, time.perf_counter() - begin)
                    if number == rounds - 1:
                        time.sleep(1)
                        results.add(table.IDLE, name, server.memory())
                finally:
                    server.stop()


def instances(results: Results, servers: Servers, tree: Tree, plan: Plan) -> None:
    """Measure one instance and two on one listening socket.

    Where two cores are all there are, load and upstream must share them: the instance beside them gets less of its
    core, and takes fewer connections off the socket. So capacity is read neither off the requests per second nor off
    the busier instance. Each instance's own processor time for each of its own requests, in which load and upstream
    have no part, says how many it could answer with a core to itself.
    """
    one = servers.inherited(tree, [SERVER_CORE])
    two = servers.inherited(tree, [SERVER_CORE, LOAD_CORE])
    for group in (one, two):
        _measured(group, chat(), 2 * _CONNECTIONS, _WARM_UP)
    for _ in range(plan.rounds):
        for group, measure in ((one, table.ONE), (two, table.TWO)):
            before = [instance.answered() for instance in group]
            figures = _measured(group, chat(), 2 * _CONNECTIONS, plan.seconds)
            answered = [instance.answered() - count for instance, count in zip(group, before, strict=True)]
            if figures is None or min(answered) == 0:
                continue
            rates = [count / seconds for count, seconds in zip(answered, figures.cpu, strict=True)]
            results.add(measure, table.OURS, 1e6 / sum(rates))
            if len(group) > 1:
                results.add(table.BUSIER, table.OURS, max(answered) / sum(answered) * 100)
    servers.stop(*one, *two)
