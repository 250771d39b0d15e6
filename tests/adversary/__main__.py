"""Search for the worst bodies by the clock, and print one line for each surface.

    python -m tests.adversary [--seconds 10] [--seed 1]     bodies of 128 KB: the longest time away from the event loop
    python -m tests.adversary --big [--seconds 10]          bodies of 32 MB: CPU, and a small request beside them

A line shows the worst of what the search found, measured on a running gateway, in milliseconds. `*` marks one above its
limit, and the exit code is 1 then.
"""

import argparse
import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from tests.adversary.genes import FILLERS, Gene, build, child, places
from tests.adversary.work import ANSWER, SURFACES, on_answer, on_body
from tests.support.bodies import LEAST
from tests.support.hostile import Bench, longest_absence

KB_128 = 128 * 1024
MB_32 = 32 * 1024 * 1024 - 4096
AWAY = 50
"""Most milliseconds away from the event loop."""
CPU = 5000
"""Most milliseconds of one core for one body of 32 MB."""
BESIDE = 100
"""Most milliseconds of a small request beside it (99th percentile)."""
PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "moderations": "/v1/moderations",
    "native": "/v1beta/models/gemini-2.5-flash:generateContent",
}
BEST = 3
"""Bodies of a search that are measured on a gateway."""
Genes = tuple[Gene, ...]


def search(
    good: dict[str, Any], cost: Callable[[bytes], None], seconds: float, size: int, rolls: random.Random
) -> list[Genes]:
    """Return the genes of the bodies whose work takes the most CPU time, the worst first."""
    spots = places(good)
    known: dict[Genes, float] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(known) < BEST:
        ranked = sorted(known, key=known.__getitem__, reverse=True)[:20]
        if len(ranked) < 20 or rolls.random() < 0.3:
            genes: Genes = tuple(
                Gene(rolls.choice(spots), rolls.randrange(FILLERS)) for _ in range(rolls.randint(1, 2))
            )
        else:
            genes = child(ranked, spots, rolls)
        if genes not in known:
            data = build(good, genes, size)
            began = time.thread_time()
            cost(data)
            known[genes] = time.thread_time() - began
    return sorted(known, key=known.__getitem__, reverse=True)[:BEST]


async def away(path: str, data: bytes, upstream: Any = None) -> float:
    """Return the longest time away from the loop in milliseconds, the least of three: others use the machine, too."""
    bench = Bench(path, upstream) if upstream is not None else Bench(path)
    await bench.start()
    try:
        gc.collect()
        return 1000 * min([(await longest_absence(bench, data))[1] for _ in range(3)])
    finally:
        await bench.stop()


def answering(data: bytes) -> Any:
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        if "stream" in request.path:
            return web.Response(body=b"data: " + data + b"\r\n\r\n", content_type="text/event-stream")
        return web.Response(body=data, content_type="application/json")

    return answer


async def beside(path: str, data: bytes) -> tuple[float, float]:
    """Return the CPU of a large body, and the slowest small request of a hundred beside it, in milliseconds."""
    bench, times, done = Bench(path), [], False
    await bench.start()
    small = json.dumps(LEAST["/v1/chat/completions"]).encode()
    url = bench.url.replace(path, "/v1/chat/completions")

    async def others() -> None:
        while not done:
            began = time.perf_counter()
            async with bench.http.post(url, data=small) as response:
                await response.read()
            times.append(time.perf_counter() - began)
            await asyncio.sleep(0.005)

    try:
        task = asyncio.create_task(others())
        await asyncio.sleep(0.1)
        before = time.process_time()
        await bench.send(data)
        cpu = time.process_time() - before
        done = True
        await task
    finally:
        await bench.stop()
    return 1000 * cpu, 1000 * sorted(times)[int(len(times) * 0.99)]


def line(name: str, figures: str, genes: Genes, *, bad: bool) -> bool:
    print(f"{name:22} {figures}{' *' if bad else '  '} {', '.join(map(str, genes))}", flush=True)
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.adversary")
    parser.add_argument("--seconds", type=float, default=10, help="time of each search")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--big", action="store_true", help="bodies of 32 MB")
    options = parser.parse_args()
    rolls = random.Random(options.seed)
    failed = False
    for surface, (good, _) in SURFACES.items():
        size = KB_128
        found = search(good, lambda data, s=surface: on_body(s, data), options.seconds, size, rolls)  # type: ignore[misc]
        if options.big:
            measured = [
                (*asyncio.run(beside(PATHS[surface], build(good, genes, MB_32, 2))), genes) for genes in found
            ]
            cpu, slow, genes = max(measured, key=lambda row: row[:2])
            figures = f"{cpu:7.0f} ms CPU {slow:6.0f} ms beside"
            failed |= line(surface, figures, genes, bad=cpu > CPU or slow > BESIDE)
            continue
        worst, genes = max(
            ((asyncio.run(away(PATHS[surface], build(good, genes, size))), genes) for genes in found),
            key=itemgetter(0),
        )
        failed |= line(surface, f"{worst:6.1f} ms", genes, bad=worst > AWAY)
    for surface in () if options.big else ("chat", "responses", "messages", "completions"):
        found = search(ANSWER, lambda data, s=surface: on_answer(s, data), options.seconds, KB_128, rolls)  # type: ignore[misc]
        for stream in (False, True):
            body = json.dumps({**LEAST[PATHS[surface]], "stream": stream}).encode()
            answers = [(answering(build(ANSWER, genes, KB_128)), genes) for genes in found]
            worst, genes = max(
                ((asyncio.run(away(PATHS[surface], body, answer)), genes) for answer, genes in answers),
                key=itemgetter(0),
            )
            name = f"{surface} {'stream' if stream else 'answer'}"
            failed |= line(name, f"{worst:6.1f} ms", genes, bad=worst > AWAY)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
