"""Replay recorded traffic with Gemini through the native plugin, and compare the bytes: `python -m tests.support.native_replay FILE…`.

A file is JSON lines, gzipped or not. A line has `method`, `url_path`, `query`, `request` (JSON or null), `status`,
`content_type`, `headers` and `raw_b64`, the bytes of the answer. Each is sent with a key of the client's own, whole and in
pieces of 1, 7 and 64 bytes. Prints a line for each difference, and the counts; exits with 1 if there was a difference.
"""

import asyncio
import base64
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web
from yarl import URL

from tests.support.native_traffic import Recorded, Replaying
from tests.support.servers import Serve

CUTS = (0, 1, 7, 64)
KEY = "AIza-own-key-of-a-client"


def records(file: Path) -> Iterator[Any]:
    """Yield the records of a file whose paths are Gemini's."""
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    for line in data.decode().split("\n"):
        if line and (record := json.loads(line))["api"] == "gemini":
            yield record


async def difference(http: aiohttp.ClientSession, base: str, upstream: Replaying, record: Any) -> str:
    """Send a record's request, and return what has changed on the way, "" for nothing."""
    answer = Recorded(
        base64.b64decode(record["raw_b64"]), record["content_type"], record["status"],
        tuple((name, value) for name, value in record["headers"].items() if name != "server-timing"),
    )  # fmt: skip
    upstream.choose = lambda _: answer
    upstream.received.clear()
    query = urlencode(record["query"], safe=";")
    path = record["url_path"] + (f"?{query}" if query else "")
    body = None if record["request"] is None else json.dumps(record["request"], indent=1).encode()
    headers = {"x-goog-api-key": KEY, "Content-Type": "application/json"}
    url = URL(base + path, encoded=True)
    async with http.request(record["method"], url, data=body, headers=headers) as response:
        data = await response.read()
    received = upstream.received[0]
    pairs = {
        "method": (received.method, record["method"]), "path": (received.path, path), "request": (received.body, body or b""),
        "status": (response.status, answer.status), "answer": (data, answer.body),
        "content type": (response.headers["Content-Type"], answer.content_type),
        **{name: (response.headers.get(name), value) for name, value in answer.headers},
    }  # fmt: skip
    return ", ".join(
        f"{name}: {got!r:.200} for {sent!r:.200}" for name, (got, sent) in pairs.items() if got != sent
    )


async def replay(files: list[Path]) -> int:
    """Replay the files, and return the exit code."""
    upstream, serve, counts = Replaying(lambda _: Recorded(b"{}")), Serve(), Counter[str]()
    app = web.Application(client_max_size=2**28)
    app.router.add_route("*", "/{path:.*}", upstream.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = await serve("plugins: {native: {}}", f"http://127.0.0.1:{runner.addresses[0][1]}")
    async with aiohttp.ClientSession() as http:
        for record in (record for file in files for record in records(file)):
            for upstream.cut in CUTS:
                changed = await difference(http, base, upstream, record)
                counts["different" if changed else "equal"] += 1
                if changed:
                    print(f"{record['id']} cut {upstream.cut}: {changed}")
    await serve.stop()
    await runner.cleanup()
    print(dict(counts))
    return bool(counts["different"])


if __name__ == "__main__":
    sys.exit(asyncio.run(replay([Path(name) for name in sys.argv[1:]])))
