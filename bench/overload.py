"""Overload: requests arrive five times as fast as they can be answered (make test-overload). Prints one line.

First a closed loop measures the peak: the most answers per second. Then requests are sent at `--times` that rate,
whatever has been answered meanwhile (an open loop). What must hold: the gateway goes on to answer at nine tenths of the
peak, and refuses the rest within ten milliseconds. Every other answer is a stream of a hundred events. Core 0 runs the
gateway; core 1 the upstream and the clients.
"""

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import cast

import uvloop

from bench.servers import HERE, HERE_TREE, ROOT, free_port, wait_for

MIN_GOODPUT = 0.9
"""Of the peak."""
MAX_REFUSAL = 10.0
"""Milliseconds, at the 99th percentile."""
_CLOSED = 64
"""Connections of the closed loop."""
_CONNECTIONS = 1000
"""Connections of the open loop, opened before it begins."""
_SETTLE = 3.0
"""Seconds at the begin of each phase that do not count."""
_STEP = 0.001
_END = b"0\r\n\r\n"
"""End of a chunked body."""
_CONFIG = """
pool: {{projects: [{{name: a, keys: [{{env: BENCH_KEY}}]}}]}}
ledger: {{url: {folder}/ledger.db}}
limits: {{streams: {streams}}}
"""
"""A gateway of a team, as it is shipped: issued keys with limits, a durable ledger, a log line for each request."""


class Connection(asyncio.Protocol):
    """A kept-alive HTTP/1.1 connection with one request at a time."""

    def __init__(
        self, answered: "Callable[[Connection, int], None]", lost: "Callable[[Connection], None]"
    ) -> None:
        self._answered = answered
        self._lost = lost
        self._data = b""
        self._status = 0
        """Of the answer that is being received."""
        self._closes = False
        self.sent = 0.0
        self.is_open = False
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def send(self, request: bytes, since: float) -> None:
        """Send a request that was due at a time."""
        self.sent, self.busy = since, True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._status:  # a streamed answer, of which only the end matters
            if data.endswith(_END):
                self._answer_ended()
            return
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        head, rest, self._data = self._data[:end].lower(), self._data[end + 4 :], self._data
        start = head.find(b"content-length:")
        is_whole = (
            len(rest) >= int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else rest.endswith(_END)
        )
        if start >= 0 and not is_whole:
            return
        self._status, self._data = int(self._data[9:12]), b""
        self._closes = b"connection: close" in head
        if is_whole:
            self._answer_ended()

    def _answer_ended(self) -> None:
        status, self._status, self.busy = self._status, 0, False
        if self._closes:
            self.is_open = False
            self.transport.close()
        self._answered(self, status)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._lost(self)


class Load:
    """Clients of one port, and what they have seen."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._requests = itertools.cycle((_request(key, streamed=False), _request(key, streamed=True)))
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._closed_loop = False
        self._counting = False
        self.statuses: Counter[int] = Counter()
        self.refusals: list[float] = []
        """Milliseconds."""
        self.answers: list[float] = []
        """Milliseconds."""
        self.broken = self.unsent = 0
        """Requests whose connection was lost, and those for which there was no connection."""

    async def closed(self, seconds: float) -> float:
        """Return the answers per second while each connection always has a request."""
        self._closed_loop = True
        for _ in range(_CLOSED):
            (await self._connect()).send(next(self._requests), time.perf_counter())
        await self._count(seconds)
        answered = self.statuses[200]
        self._closed_loop = False
        await asyncio.sleep(0.5)  # the last answers
        return answered / seconds

    async def open(self, rate: float, seconds: float) -> None:
        """Send `rate` requests per second, of which those of the last `seconds` count."""
        while len(self._all) < _CONNECTIONS:
            self._idle.append(await self._connect())
        sending = asyncio.create_task(self._send_all(rate, seconds + _SETTLE))
        await self._count(seconds)
        await sending

    def close(self) -> None:
        """Close all connections."""
        for connection in self._all:
            connection.transport.abort()

    async def _count(self, seconds: float) -> None:
        await asyncio.sleep(_SETTLE)
        self.statuses.clear()
        self.refusals, self.answers, self.broken = [], [], 0
        self._counting = True
        await asyncio.sleep(seconds)
        self._counting = False

    async def _send_all(self, rate: float, seconds: float) -> None:
        begin, sent = time.perf_counter(), 0
        while (now := time.perf_counter()) < begin + seconds:
            while sent < (now - begin) * rate:
                self._send(begin + sent / rate)
                sent += 1
            await asyncio.sleep(_STEP)

    def _send(self, due: float) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                connection.send(next(self._requests), due)
                return
        self.unsent += 1

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(self._answered, self._lost), "127.0.0.1", self._port
        )
        self._all.add(connection)
        return connection

    def _answered(self, connection: Connection, status: int) -> None:
        now = time.perf_counter()
        if self._counting:
            self.statuses[status] += 1
            (self.answers if status == 200 else self.refusals).append((now - connection.sent) * 1000)
        if self._closed_loop and connection.is_open:
            connection.send(next(self._requests), now)
        elif connection.is_open:
            self._idle.append(connection)

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection.busy:
            self.broken += 1


def _request(key: str, *, streamed: bool) -> bytes:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}]
    body = json.dumps({"model": "gemini-2.5-flash", "messages": messages, "stream": streamed}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def quantile(values: list[float], percent: int) -> float:
    """Return a percentile, 0 without values."""
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else 0.0


async def measure(port: int, key: str, times: float, seconds: float) -> bool:
    """Print the line of figures; return whether the targets are met."""
    load = Load(port, key)
    peak = await load.closed(seconds)
    await load.open(peak * times, seconds)
    goodput, refused = load.statuses[200] / seconds, sum(load.statuses.values()) - load.statuses[200]
    passed = goodput >= MIN_GOODPUT * peak and quantile(load.refusals, 99) <= MAX_REFUSAL and not load.broken
    p50, p99 = quantile(load.answers, 50), quantile(load.answers, 99)
    print(
        f"{'PASS' if passed else 'MISS'} overload {times:g}x: peak {peak:.0f}/s, goodput {goodput:.0f}/s "
        f"({goodput / peak:.0%} of it; p50 {p50:.0f} ms, p99 {p99:.0f} ms), "
        f"{refused / seconds:.0f}/s refused within {quantile(load.refusals, 50):.1f} ms p50, "
        f"{quantile(load.refusals, 99):.1f} ms p99 {dict(load.statuses)}; {load.broken} broken, {load.unsent} not sent"
    )
    load.close()
    return passed


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=float, default=5, help="load as a multiple of the peak (default 5)")
    parser.add_argument("--seconds", type=float, default=10, help="length of each phase (default 10)")
    parser.add_argument(
        "--streams", type=int, default=4096, help="limits.streams of the gateway (default 4096)"
    )
    options = parser.parse_args()
    os.sched_setaffinity(0, {1})
    os.environ["BENCH_KEY"] = "AQ.bench"
    children = []
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "gateway.yaml"
        config.write_text(_CONFIG.format(folder=folder, streams=options.streams))
        upstream, port = free_port(), free_port()
        issue = [sys.executable, "-m", "gateway", "keys", "add", "bench", "--config", str(config),
                 "--requests-per-minute", "1000000000", "--tokens-per-day", "1000000000000"]  # fmt: skip
        key = subprocess.run(issue, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        commands = {
            1: [sys.executable, str(HERE / "upstream.py"), str(upstream)],
            0: list(HERE_TREE.command(port, f"http://127.0.0.1:{upstream}", str(config))),
        }
        try:
            for core, command in commands.items():
                pinned = ["taskset", "-c", str(core), *command]
                children.append(subprocess.Popen(pinned, cwd=ROOT, stderr=subprocess.DEVNULL))
            for each in (upstream, port):
                wait_for(each)
            return int(not uvloop.run(measure(port, key, options.times, options.seconds)))
        finally:
            for child in children:
                child.terminate()
                child.wait(20)


if __name__ == "__main__":
    sys.exit(main())
