"""Measure how soon the upstream call ends after its client has left: `make test-gone`, one line for each way.

Clients leave by FIN and RST, in each phase of a request, connected directly and through nginx with the shipped site.
The gateway is a process of its own; the time runs from the client's system call to the end of the upstream's connection.
"""

import argparse
import asyncio
import json
import os
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.fakegem import STREAM_HEAD, Connection, FakeGem, Step, chunk, event, message, pause, stream
from tests.support.nginx import DOMAIN, Nginx
from tests.support.rawc import RawClient

MODEL = "gemini-2.5-flash"
P50, P99 = 0.001, 0.010
"""Seconds that are promised."""
BEGUN = stream(message("one ", None), message("two ", None))
BUSY: list[Step] = [chunk(event(message("x", None))), pause(0.005)] * 2000
PHASES: dict[str, tuple[bool, list[Step], bytes]] = {
    "before the first byte": (True, [], b""),
    "in mid-stream": (True, [STREAM_HEAD, *BUSY], b'"content":"x"'),
    "in a stall": (True, BEGUN, b'"content":"two '),
    "unary": (False, [], b""),
    "in half an answer": (
        False,
        [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"],
        b"",
    ),
}
"""By name: whether the client streams, what the upstream does before it waits, and what the client reads before it leaves."""


class Watched(FakeGem):
    """An upstream that notes when the gateway ends its call."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = asyncio.Event()
        self.left: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def expect(self, steps: list[Step]) -> None:
        """Prepare the next request."""
        self.arrived, self.left = asyncio.Event(), asyncio.get_running_loop().create_future()
        self.queue.append(
            [self._note, *steps, None] if steps is not PHASES["in mid-stream"][1] else [self._note, *steps]
        )

    async def _note(self, connection: Connection) -> None:
        self.arrived.set()
        transport = connection.writer.transport
        left, protocol = self.left, transport.get_protocol()
        lost, eof = protocol.connection_lost, protocol.eof_received  # type: ignore[attr-defined]

        def ended() -> None:
            if not left.done():
                left.set_result(time.perf_counter())

        def connection_lost(error: Exception | None) -> None:
            ended()
            lost(error)

        def eof_received() -> bool | None:
            ended()
            return bool(eof())

        protocol.connection_lost = connection_lost  # type: ignore[method-assign, assignment]
        protocol.eof_received = eof_received  # type: ignore[attr-defined]


Open = Callable[[], Awaitable[RawClient]]


async def measure(upstream: Watched, connect: Open, phase: str, manner: str) -> float:
    """Return the seconds from one departure to the end of the upstream's call."""
    streams, steps, awaited = PHASES[phase]
    upstream.expect(steps)
    client = await connect()
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "stream": streams}
    data = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {DOMAIN}\r\nAuthorization: Bearer k\r\nContent-Length: {len(data)}\r\n\r\n"
    await client.send(head.encode() + data)
    await upstream.arrived.wait()
    if awaited:
        await client.reader.readuntil(awaited)
    else:
        await asyncio.sleep(0.005)
    start = time.perf_counter()
    if manner == "RST":
        client.reset()
    else:
        client.writer.transport.abort() if client.writer.get_extra_info("ssl_object") else client.leave()
    async with asyncio.timeout(5):
        return await upstream.left - start


async def back_off(upstream: Watched, connect: Open, manner: str) -> int:
    """Return the calls that are made after a client has left between two attempts."""
    wait = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.5s"}  # without jitter
    fields = {"code": 503, "message": "busy", "status": "UNAVAILABLE", "details": [wait]}
    error = json.dumps({"error": fields}).encode()
    upstream.queue.append(
        [
            b"HTTP/1.1 503 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(error), error)
        ]
    )
    before = len(upstream.requests)
    client = await connect()
    data = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "x"}]}).encode()
    await client.send(
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {DOMAIN}\r\nAuthorization: Bearer k\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        + data
    )
    while len(upstream.requests) == before:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)
    (client.reset if manner == "RST" else client.writer.transport.abort)()
    await asyncio.sleep(0.8)
    upstream.queue.clear()
    return len(upstream.requests) - before - 1


async def start_gateway(folder: Path, upstream: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a gateway process on a Unix socket. Return it, and the socket."""
    path = str(folder / "gateway.sock")
    config = folder / "gateway.yaml"
    config.write_text(
        f"listen: {{unix: {path}}}\nupstream: {{base_url: '{upstream}', retry: {{backoff: 0.4}}}}\nlogging: {{exchanges: false}}\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "--config", str(config)], stderr=subprocess.DEVNULL
    )
    async with asyncio.timeout(20):
        while not os.path.exists(path):
            await asyncio.sleep(0.02)
    return process, path


def report(way: str, times: list[float], after: int) -> bool:
    """Print the line of one way. Return whether what is promised holds."""
    ranked = sorted(times)
    p50, p99 = statistics.median(ranked), ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))]
    held = p50 <= P50 and p99 <= P99 and not after
    print(
        f"gone {way}: {len(times)} departures, p50 {p50 * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms, max {ranked[-1] * 1000:.2f} ms;"
        f" {after} calls after a departure in back-off: {'held' if held else 'NOT held'}"
    )
    return held


async def run(samples: int, *, phases: bool) -> bool:
    """Measure each way. Return whether what is promised holds for all."""
    with tempfile.TemporaryDirectory() as name:
        folder, upstream, held = Path(name), Watched(), True
        await upstream.start()
        process, path = await start_gateway(folder, upstream.url)
        nginx = Nginx(folder) if shutil.which("nginx") else None
        try:

            async def direct() -> RawClient:
                return RawClient(*await asyncio.open_unix_connection(path))

            async def proxied() -> RawClient:
                assert nginx is not None
                context = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
                return RawClient(
                    *await asyncio.open_connection(
                        "127.0.0.1", nginx.tls, ssl=context, server_hostname=DOMAIN
                    )
                )

            ways: dict[str, Open] = {"direct": direct}
            if nginx is not None:
                await nginx.start()
                ways["through nginx"] = proxied
            for way, connect in ways.items():
                times: list[float] = []
                for phase in PHASES:
                    manners = ("RST" if number % 2 else "FIN" for number in range(samples))
                    mine = [await measure(upstream, connect, phase, manner) for manner in manners]
                    if phases:
                        print(
                            f"  {way}, {phase}: p50 {statistics.median(mine) * 1000:.2f} ms, max {max(mine) * 1000:.2f} ms"
                        )
                    times += mine
                after = sum([await back_off(upstream, connect, manner) for manner in ("FIN", "RST")])
                held &= report(way, times, after)
        finally:
            if nginx is not None:
                nginx.stop()
            process.terminate()
            process.wait(10)
            await upstream.stop()
    return held


def main() -> int:
    """Return 0 if what is promised holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=40, help="departures in each phase and way")
    parser.add_argument("--phases", action="store_true", help="print a line for each phase, too")
    options = parser.parse_args()
    return 0 if asyncio.run(run(options.samples, phases=options.phases)) else 1


if __name__ == "__main__":
    sys.exit(main())
