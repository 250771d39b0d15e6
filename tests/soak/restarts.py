"""Soak of rolling restarts, run inside the booted server by restarts.sh: COUNT (100) of blue and green, under load.

The gateway is asked on its Unix socket, as nginx asks it: 200 requests a second, and 100 streams at any time. None may
be lost.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from time import monotonic

import aiohttp

SOCKET = "/run/gateway.sock"
RATE, STREAMS = 200, 100
URL = "http://gateway/v1/chat/completions"
HEADERS = {"Authorization": "Bearer AQ.k"}
INSTANCES = ("gateway@blue.service", "gateway@green.service")


class Load:
    """Requests and streams until it is stopped."""

    def __init__(self) -> None:
        self.is_ended = False
        self.results: Counter[str] = Counter()

    async def ask(self, http: aiohttp.ClientSession, chunks: int) -> None:
        """Send one request; with chunks, a stream of so many."""
        content = f"[[chunks {chunks}]]" + "x" * 5 * chunks if chunks else "hi"
        body = {
            "model": "gemini-2.5-flash",
            "messages": [{"role": "user", "content": content}],
            "stream": bool(chunks),
        }
        try:
            async with http.post(URL, data=json.dumps(body)) as response:
                text = await response.text()
            is_whole = response.status == 200 and (
                "data: [DONE]" in text if chunks else '"finish_reason":"stop"' in text
            )
            kind = "stream" if chunks else "request"
            self.results[f"{kind}s" if is_whole else f"lost {kind}: {response.status} {text[-120:]}"] += 1
        except (aiohttp.ClientError, OSError) as error:
            self.results[f"lost: {error!r}"] += 1

    async def streams(self, http: aiohttp.ClientSession) -> None:
        """Hold one stream after another."""
        while not self.is_ended:
            await self.ask(http, 400)

    async def requests(self, http: aiohttp.ClientSession) -> None:
        """Send RATE requests a second, whatever becomes of them."""
        begun, sent, tasks = monotonic(), 0, set[asyncio.Task[None]]()
        while not self.is_ended:
            while sent < (monotonic() - begun) * RATE:
                sent += 1
                task = asyncio.create_task(self.ask(http, 0))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(0.005)
        await asyncio.gather(*tasks)


async def systemctl(verb: str, unit: str) -> None:
    """Run systemctl to its end. Raises RuntimeError if it fails."""
    process = await asyncio.create_subprocess_exec("systemctl", verb, unit)
    if await process.wait():
        raise RuntimeError(f"systemctl {verb} {unit} failed")


async def main() -> int:
    """Return the exit code."""
    count, load = int(os.environ.get("COUNT") or 100), Load()
    connector = aiohttp.UnixConnector(SOCKET, limit=0)
    async with aiohttp.ClientSession(
        connector=connector, headers=HEADERS, timeout=aiohttp.ClientTimeout(120)
    ) as http:
        tasks = [asyncio.create_task(load.streams(http)) for _ in range(STREAMS)]
        tasks.append(asyncio.create_task(load.requests(http)))
        for number in range(count):
            await systemctl("start", INSTANCES[(number + 1) % 2])
            await systemctl("stop", INSTANCES[number % 2])
        load.is_ended = True
        await asyncio.gather(*tasks)
    lost = {name: n for name, n in load.results.items() if name.startswith("lost")}
    passed = not lost and load.results["streams"] > 0 and load.results["requests"] > 0
    print(
        f"{'PASS' if passed else 'MISS'} soak-restarts: {count} rolling restarts under {RATE} requests/s and {STREAMS} streams: "
        f"{load.results['requests']} requests and {load.results['streams']} streams whole, {sum(lost.values())} lost {lost}"
    )
    return int(not passed)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
