"""Soak of live streams: COUNT (5,000) for DURATION (900) seconds, each with an event every ten seconds.

    COUNT=500 DURATION=30 python -m tests.soak.streams

Memory must stay within 30 KB for each stream and not grow, and a new request must be answered as if there were none.
"""

import asyncio
import json
import statistics
import sys
from contextlib import suppress
from time import perf_counter

import aiohttp
import uvloop

from tests.soak.processes import Processes, report, setting

MODEL = "gemini-2.5-flash"
MOST_EACH = 30.0
"""KB of memory for each stream."""
NOISE = 3.0
"""MB that resident memory varies by itself."""
MOST_DRIFT = 0.02
"""Share by which memory may grow while the streams live."""
MOST_LATER = 20.0
"""Milliseconds that a new request's 99th percentile may be above that of an idle gateway."""
PROBES = 200
CONFIG = "limits: {streams: 20000}\nconnections: {per_address: 20000}\nlogging: {exchanges: false}\n"
_BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}


async def hold(port: int, counts: list[int]) -> None:
    """Hold one stream until cancelled; `counts[0]` counts its events. A refused one is asked for again, as SDKs do."""
    body = json.dumps({**_BODY, "stream": True}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer AQ.k\r\n"
    request = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    is_refused = True
    while is_refused:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
        try:
            writer.write(request)
            is_refused = (await reader.readline()).startswith(b"HTTP/1.1 503")
            if is_refused:
                await asyncio.sleep(1)
                continue
            while data := await reader.read(4096):
                counts[0] += data.count(b"data:")
            counts[1] += 1  # it has ended
        finally:
            writer.close()


async def p99(base: str) -> float:
    """Return the 99th percentile of new requests' times, in milliseconds; each has a connection of its own."""
    times = []
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, headers={"Authorization": "Bearer AQ.k"}) as http:
        for _ in range(PROBES):
            begun = perf_counter()
            async with http.post(f"{base}/v1/chat/completions", json=_BODY) as response:
                await response.read()
                assert response.status == 200, response.status
            times.append((perf_counter() - begun) * 1000)
            await asyncio.sleep(0.01)
    return statistics.quantiles(times, n=100)[98]


async def main() -> int:
    """Return the exit code."""
    count, duration = int(setting("COUNT", 5000)), setting("DURATION", 900)
    with Processes(CONFIG, "-m", "tests.soak.slow_upstream") as processes:
        idle = await p99(processes.base)
        base, counts, streams = processes.memory(), [0, 0], []
        for _ in range(count):
            streams.append(asyncio.create_task(hold(processes.port, counts)))
            await asyncio.sleep(0.002)
        while counts[0] < count and not counts[1]:
            await asyncio.sleep(0.1)
        opened = processes.memory()
        await asyncio.sleep(duration / 2)
        loaded = await p99(processes.base)
        await asyncio.sleep(duration / 2)
        ended = processes.memory()
        for task in streams:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*streams, return_exceptions=True)
    each = (ended - base) * 1000 / count
    drift = (ended - opened) / opened
    missed = ["memory"] * ((ended - base) > count * MOST_EACH / 1000 + NOISE) + ["drift"] * (
        drift > MOST_DRIFT + NOISE / opened
    )
    missed += ["latency"] * (loaded > idle + MOST_LATER) + ["streams that ended"] * bool(counts[1])
    figures = (
        f"{count} streams for {duration:.0f} s, {counts[0]} events, memory {base:.0f} -> {ended:.0f} MB ({each:.1f} KB each), "
        f"drift {drift:+.1%}, new requests p99 {loaded:.1f} ms (idle {idle:.1f} ms), {counts[1]} ended"
    )
    return report("soak-streams", figures, missed)


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
