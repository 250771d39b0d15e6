"""Soak of memory: 64 clients with 30 MB bodies, good and bad, remote pictures, gzip bombs, and answers without end.

    python -m tests.soak.memory          DURATION=300 seconds of load, then IDLE=60 seconds of rest, by default

How long a refusal takes is measured by a process of its own, because the clients of the load are busy themselves.

The gateway is a process of its own, as `gateway serve` starts it, except that it may download from loopback. The last
line has the figures; the exit code is 1 if one of them is out of bounds.
"""

import asyncio
import json
import os
import random
import re
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections import Counter
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from tests.soak.hostile_upstream import MODELS

CLIENTS = 64
MOST_PEAK, MOST_KEPT = 650.0, 30.0
"""MB: of the peak, and a minute after the load over the base."""
PATIENCE = 120.0
"""Seconds after which a client counts as one without an answer."""
MODEL = "gemini-2.5-flash"
MB = 1_000_000


class Request(NamedTuple):
    """One kind of request."""

    name: str
    path: str
    body: bytes
    weight: int = 1


class Tally:
    """What clients received."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.refused = 0

    def add(self, kind: str, status: int) -> None:
        """Count an answer; status 0 is none."""
        if not status:
            self.lost[kind] += 1
            return
        self.statuses[f"{kind} {status}"] += 1
        self.refused += status in (503, 529)


def chat(text: str, model: object = MODEL, **fields: object) -> bytes:
    """Return a chat request."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **fields}).encode()


def pictures(media: str, count: int, size: int) -> bytes:
    """Return a chat request with remote pictures."""
    content = [
        {"type": "image_url", "image_url": {"url": f"{media}/{size}/{number}.png"}} for number in range(count)
    ]
    return json.dumps({"model": MODEL, "messages": [{"role": "user", "content": content}]}).encode()


def requests(media: str) -> list[Request]:
    """Return all kinds of requests."""
    long, completions = "a, b" * (30 * MB // 4), "/v1/chat/completions"
    image = f"data:image/png;base64,iVBORw0KGgo{'A' * (28 * MB)}A"
    picture = {"type": "image_url", "image_url": {"url": image}}
    dense = b'{"model":"m","messages":[],"google":{"x":[' + b"{}," * 290_000 + b"{}]}}"
    parts = {"contents": [{"role": "user", "parts": [{"text": long}]}]}
    return [
        Request("small", completions, chat("hi"), 6),
        Request("good", completions, chat(long), 3),
        Request("wide", completions, chat("a" * (20 * MB) + "\U0001f600")),
        Request("picture", completions, chat("").replace(b'""', json.dumps([picture]).encode())),
        Request("bad", completions, chat(long, 5), 3),
        Request("cut", completions, chat(long)[:-1]),
        Request("dense", completions, dense),
        Request("messages", "/v1/messages", chat(long, max_tokens=9)),
        Request("responses", "/v1/responses", json.dumps({"model": MODEL, "input": long}).encode()),
        Request("native", f"/v1beta/models/{MODEL}:generateContent", json.dumps(parts).encode()),
        Request("100 remote", completions, pictures(media, 100, 19 * MB), 2),
        Request("20 remote", completions, pictures(media, 20, 2 * MB), 2),
        *(
            Request(f"{model}{' stream' * stream}", completions, chat("hi", model, stream=stream))
            for model in MODELS
            for stream in (False, True)
        ),
    ]  # fmt: skip


async def post(port: int, address: str, request: Request) -> int:
    """Return the status of an answer that is read to its end, or 0 for none."""
    status, writer = 0, None
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
            head = f"POST {request.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key-{address}\r\n"
            head += f"Connection: close\r\nContent-Length: {len(request.body)}\r\n\r\n"
            writer.write(head.encode())
            sending = asyncio.create_task(send(writer, request.body))
            try:
                line = await reader.readline()
                if found := re.match(rb"HTTP/1\.1 (\d{3})", line):
                    status = int(found[1])
                if status >= 400:  # like curl, which does not send the rest
                    sending.cancel()
                while await reader.read(2**18):
                    pass
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            return status
    except (OSError, TimeoutError):
        return status
    finally:
        if writer is not None:
            writer.transport.abort()


async def send(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Send a body in pieces."""
    view = memoryview(body)
    for start in range(0, len(view), 2**18):
        writer.write(view[start : start + 2**18])
        await writer.drain()


async def client(port: int, number: int, kinds: list[Request], until: float, tally: Tally) -> None:
    """Ask one request after the other until a time."""
    chance = random.Random(number)
    weights = [kind.weight for kind in kinds]
    address = f"127.0.{1 + number // 8}.{1 + number % 8}"
    while monotonic() < until:
        kind = chance.choices(kinds, weights)[0]
        tally.add(kind.name, await post(port, address, kind))


async def probe(port: int, seconds: float) -> list[float]:
    """Announce bodies for some seconds, and return the milliseconds that each refusal took."""
    times, until = [], monotonic() + seconds
    while monotonic() < until:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.9.9", 0))
        began = monotonic()
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: %d\r\n\r\n"
            % (20 * MB)
        )
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(0.5):
                if (await reader.readline()).startswith(b"HTTP/1.1 503"):
                    times.append((monotonic() - began) * 1000)
        writer.transport.abort()
        await asyncio.sleep(0.02)
    return times


def memory(pid: int, field: str) -> float:
    """Return a size of a process in MB: VmRSS, or VmHWM for the peak."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / MB


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        port: int = own.getsockname()[1]
        return port


async def start(port: int, *command: str, log: Path) -> asyncio.subprocess.Process:
    """Return a process that listens on a port."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=out, stderr=out)
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return process
    raise RuntimeError(log.read_text())


async def soak(duration: float, idle: float, folder: Path) -> bool:
    """Run the load, print the figures, and return whether all are within bounds."""
    port, upstream_port = free_port(), free_port()
    config = folder / "gateway.yaml"
    config.write_text(
        f"listen: {{port: {port}}}\nupstream: {{base_url: 'http://127.0.0.1:{upstream_port}'}}\n"
        f"stream: {{write_timeout: 10}}\nstate: {{file: {folder}/state.db}}\nlogging: {{exchanges: false}}\n{os.environ.get('EXTRA', '')}\n"
    )
    upstream = await start(
        upstream_port, "-m", "tests.soak.hostile_upstream", str(upstream_port), log=folder / "up"
    )
    gateway = await start(port, "-m", "tests.soak.loopback_gateway", str(config), log=folder / "log")
    try:
        kinds = requests(f"http://127.0.0.1:{upstream_port}/media")
        for _ in range(30):
            await post(port, "127.0.0.1", kinds[0])
        base, tally = memory(gateway.pid, "VmRSS"), Tally()
        until = monotonic() + duration
        watching = asyncio.create_task(watch(gateway.pid, until))
        probing = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.soak.memory", "probe", str(port), str(duration), stdout=PIPE
        )
        await asyncio.gather(*(client(port, number, kinds, until, tally) for number in range(CLIENTS)))
        await watching
        times = sorted(json.loads((await probing.communicate())[0]))
        peak = memory(gateway.pid, "VmHWM")
        await asyncio.sleep(idle)
        kept = memory(gateway.pid, "VmRSS")
        status = await post(port, "127.0.0.1", kinds[0])
        crashes = (folder / "log").read_bytes().count(b'"event":"crash"')
    finally:
        for process in (gateway, upstream):
            if process.returncode is None:
                process.terminate()
                await process.wait()
    report(tally, os.environ.get("VERBOSE", ""), folder / "log")
    lost = sum(tally.lost.values())
    p50, p99 = (times[int(len(times) * part)] if times else 0.0 for part in (0.5, 0.99))
    print(
        f"memory: peak RSS {peak:.0f} MB (at most {MOST_PEAK:.0f}), base {base:.0f} MB, {idle:.0f} s after "
        f"{kept:.0f} MB (at most base + {MOST_KEPT:.0f}); {sum(tally.statuses.values()) + lost} requests, "
        f"{lost} without an answer, {tally.refused} refused; {len(times)} refusals timed: p50 {p50:.1f} ms, "
        f"p99 {p99:.1f} ms; {crashes} crashes"
    )
    return not lost and not crashes and status == 200 and peak <= MOST_PEAK and kept <= base + MOST_KEPT


async def watch(pid: int, until: float) -> None:
    """Print the size of the gateway from time to time."""
    while monotonic() < until:
        await asyncio.sleep(min(10.0, max(0.1, until - monotonic())))
        print(f"{until - monotonic():.0f} s left: {memory(pid, 'VmRSS'):.0f} MB", file=sys.stderr, flush=True)


def report(tally: Tally, verbose: str, log: Path) -> None:
    """Print what each kind of request was answered."""
    if verbose:
        for name, count in sorted(tally.statuses.items()):
            print(f"  {name}: {count}", file=sys.stderr)
        print(log.read_text()[-3000:], file=sys.stderr)
    for name, count in tally.lost.items():
        print(f"  without an answer: {name}: {count}", file=sys.stderr)


def main() -> None:
    """Run the soak with the times of the environment, or the process that times refusals."""
    if sys.argv[1:2] == ["probe"]:
        print(json.dumps(asyncio.run(probe(int(sys.argv[2]), float(sys.argv[3])))))
        return
    with tempfile.TemporaryDirectory() as folder:
        duration, idle = float(os.environ.get("DURATION", "300")), float(os.environ.get("IDLE", "60"))
        sys.exit(0 if asyncio.run(soak(duration, idle, Path(folder))) else 1)


if __name__ == "__main__":
    main()
