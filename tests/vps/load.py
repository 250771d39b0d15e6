"""Load of 100 requests a second and 20 streams over TLS, while a command runs: load.py COMMAND...

A client must neither see an error nor wait for more than 100 ms. A machine that is busy with other work lets requests
wait, too: there, only waits of a second count, which a queue behind a process that ends would cause.
"""

import asyncio
import json
import os
import ssl
import sys
from time import monotonic

import aiohttp

RATE, STREAMS = 100, 20
BEFORE, AFTER = 6.0, 6.0
"""Seconds of load before and after the command: longer than a stream lasts, so that each phase begins STREAMS of them."""
SPREAD = 5.0
"""Seconds over which the streams begin, so that they do not end at once: as long as one lasts."""
MOST, MOST_WHEN_BUSY = 0.1, 1.0
URL = "https://gateway.test/v1/chat/completions"
HEADERS = {"Authorization": "Bearer AQ.CanaryCanaryCanaryCanaryCanary"}


class Phase:
    """Requests that began in one phase."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.began = monotonic()
        self.waits: list[float] = []
        self.slow: list[tuple[float, float]] = []
        """Waits above MOST: when they began, in seconds of the phase, and how long they were."""
        self.streams = 0
        self.failures: list[str] = []

    def add(self, begun: float) -> None:
        """Add the wait of a request that began at a time and is answered now."""
        wait = monotonic() - begun
        self.waits.append(wait)
        if wait > MOST:
            self.slow.append((round(begun - self.began, 1), round(wait, 3)))

    def __str__(self) -> str:
        waits = sorted(self.waits) or [0.0]
        return (
            f"{self.name}: {len(self.waits)} requests (median {waits[len(waits) // 2] * 1000:.0f} ms, longest "
            f"{waits[-1] * 1000:.0f} ms), {self.streams} streams, {len(self.failures)} failed {self.failures[:3]}, "
            f"{len(self.slow)} waited over {MOST * 1000:.0f} ms {self.slow[:8]}"
        )


class Load:
    """The load, until it is stopped."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self.phase = Phase("before")
        self.is_ended = False

    async def ask(self, chunks: int) -> None:
        """Send one request; with chunks, a stream of so many."""
        phase, begun = self.phase, monotonic()
        content = f"[[chunks {chunks}]]" + "x" * 5 * chunks if chunks else "hi"
        body = {
            "model": "gemini-2.5-flash",
            "messages": [{"role": "user", "content": content}],
            "stream": bool(chunks),
        }
        try:
            async with self._http.post(URL, data=json.dumps(body)) as response:
                if chunks:
                    await response.content.readany()
                    phase.add(begun)
                text = await response.text()
            if chunks:
                phase.streams += 1
            else:
                phase.add(begun)
            if response.status != 200 or (chunks and "data: [DONE]" not in text):
                phase.failures.append(f"{response.status} {text[-200:]}")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            phase.failures.append(repr(error))

    async def streams(self, delay: float) -> None:
        """Hold one stream after another, from some seconds on."""
        await asyncio.sleep(delay)
        while not self.is_ended:
            await self.ask(300)

    async def requests(self) -> None:
        """Send RATE requests a second, whatever becomes of them."""
        begun, sent, tasks = monotonic(), 0, set[asyncio.Task[None]]()
        while not self.is_ended:
            while sent < (monotonic() - begun) * RATE:
                sent += 1
                task = asyncio.create_task(self.ask(0))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(0.002)
        await asyncio.gather(*tasks)


async def main(command: list[str]) -> int:
    """Return the exit code."""
    load_average = os.getloadavg()[0]
    context = ssl.create_default_context(cafile="/etc/gateway/tls/ca.pem")
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    async with aiohttp.ClientSession(
        connector=connector, headers=HEADERS, timeout=aiohttp.ClientTimeout(60)
    ) as http:
        load = Load(http)
        before = load.phase
        tasks = [asyncio.create_task(load.streams(number * SPREAD / STREAMS)) for number in range(STREAMS)]
        tasks.append(asyncio.create_task(load.requests()))
        await asyncio.sleep(SPREAD)
        load.phase = before = Phase("before")
        await asyncio.sleep(BEFORE)
        load.phase = during = Phase("during")
        process = await asyncio.create_subprocess_exec(*command)
        code = await process.wait()
        print(f"the command took {monotonic() - during.began:.1f} s")
        await asyncio.sleep(AFTER)
        load.is_ended = True
        await asyncio.gather(*tasks)
    print(before, during, sep="\n")
    if is_busy := bool(before.slow) or load_average > (os.cpu_count() or 1):
        print(f"the machine is busy (load average {load_average:.1f}): only waits of a second count")
    most = MOST_WHEN_BUSY if is_busy else MOST
    passed = not (code or during.failures or before.failures) and max(during.waits) <= most
    return 0 if passed and len(during.waits) > RATE and during.streams >= STREAMS else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
