"""Soak of mixed requests: COUNT of them (1,000,000) on every surface, good and bad. Memory must not grow.
No descriptor may be left: connections to the upstream are kept, as many as there were requests at once.

    COUNT=20000 python -m tests.soak.mixed

The line tells the growth of resident memory for each 100,000 requests, between the first fifth and the end.
"""

import asyncio
import itertools
import json
import sys
from collections import Counter
from typing import Any

import aiohttp

from tests.soak.processes import Processes, report, setting

MODEL = "gemini-2.5-flash"
AT_ONCE = 32
MOST_GROWTH = 1.0
"""MB for each 100,000 requests."""
NOISE = 4.0
"""MB that resident memory varies by itself; it is what a short run may grow."""
CONFIG = "logging: {exchanges: false}\nplugins: {chat: {}, responses: {}, messages: {}, completions: {}, embeddings: {}, models: {}, native: {}, health: {}}\n"
USER = {"role": "user", "content": "Say hello."}
TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}},
}

REQUESTS: list[tuple[str, str, Any, int]] = [
    ("POST", "/v1/chat/completions", {"model": MODEL, "messages": [USER]}, 200),
    ("POST", "/v1/chat/completions", {"model": MODEL, "messages": [USER], "stream": True}, 200),
    ("POST", "/v1/chat/completions", {"model": MODEL, "messages": [USER], "tools": [TOOL]}, 200),
    ("POST", "/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "x" * 20_000}]}, 200),
    ("POST", "/v1/responses", {"model": MODEL, "input": "hi", "store": False}, 200),
    ("POST", "/v1/messages", {"model": MODEL, "max_tokens": 50, "messages": [USER], "stream": True}, 200),
    ("POST", "/v1/completions", {"model": MODEL, "prompt": "hi"}, 200),
    ("POST", f"/v1beta/models/{MODEL}:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}, 200),
    ("GET", "/healthz", None, 200),
    ("POST", "/v1/chat/completions", {"model": 5}, 400),
    ("POST", "/v1/chat/completions", "no object", 400),
    ("POST", "/nowhere/at/all", {}, 404),
]  # fmt: skip


async def load(base: str, count: int, statuses: Counter[str]) -> None:
    """Send `count` requests, and count answers that are not what they should be."""
    numbers = iter(range(count))
    requests = itertools.cycle(
        [(m, p, json.dumps(b).encode() if b is not None else None, s) for m, p, b, s in REQUESTS]
    )

    async def client(http: aiohttp.ClientSession) -> None:
        for _ in numbers:
            method, path, body, expected = next(requests)
            async with http.request(method, base + path, data=body) as response:
                await response.read()
                statuses["as expected" if response.status == expected else f"{path} {response.status}"] += 1

    headers = {"Authorization": "Bearer AQ.k", "x-goog-api-key": "AQ.k", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as http:
        await asyncio.gather(*(client(http) for _ in range(AT_ONCE)))


async def main() -> int:
    """Return the exit code."""
    count = int(setting("COUNT", 1_000_000))
    statuses: Counter[str] = Counter()
    with Processes(CONFIG, "bench/upstream.py") as processes:
        await load(processes.base, count // 5, statuses)
        await asyncio.sleep(1)
        first, files = processes.memory(), processes.descriptors()
        for part in range(4):
            await load(processes.base, count // 5, statuses)
            print(f"{(part + 2) * count // 5} requests: {processes.memory():.1f} MB", flush=True)
        await asyncio.sleep(1)
        growth, left = processes.memory() - first, processes.descriptors() - files
        kept = processes.upstream_connections()
    slope = growth / (count * 0.8) * 100_000
    others = {name: n for name, n in statuses.items() if name != "as expected"}
    missed = ["memory"] * (growth > max(NOISE, MOST_GROWTH * count * 0.8 / 100_000))
    missed += ["statuses"] * bool(others) + ["descriptors"] * (left != 0)
    missed += ["connections"] * (kept > AT_ONCE)
    figures = (
        f"{count} requests, memory {first:.1f} {growth:+.1f} MB ({slope:+.2f} MB per 100,000), files {left:+d},"
        f" connections to the upstream {kept} of at most {AT_ONCE}, others {others}"
    )
    return report("soak-mixed", figures, missed)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
