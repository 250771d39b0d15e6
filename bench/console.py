"""Times of the admin API, and the times for which it holds the event loop, with a large ledger.

    python -m bench.console [ROWS] [URL]    1,000,000 rows, in a SQLite file

URL is that of a PostgreSQL database, which is emptied; --after leaves out the first measurement.

The rows are of 40 days, 50 keys, 4 projects and 6 models. Each page's requests are sent one after another, from another
process, before and after the past hours were summed.
"""

import asyncio
import json
import multiprocessing
import os
import random
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, process_time, time
from urllib.request import Request, urlopen

import sqlalchemy as sa

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.console.app import Admin
from gateway.plugin import SERVICES
from gateway.policy.clients.client_rules import Rules
from gateway.server.application import build_app
from gateway.server.connection.listeners import listen_admin
from gateway.server.connection.protocol import Runner
from gateway.store.ledger import sums
from gateway.store.ledger.client_keys import issue
from gateway.store.ledger.tables import attempt, metadata, open_engine

_DAYS = 40
_BATCH = 20_000
_PATHS = (
    "/admin/summary", "/admin/summary", "/admin/keys", "/admin/keys/{key}", "/admin/keys?limit=100", "/admin/requests",
    "/admin/running", "/admin/pool", "/admin/errors", "/admin/models", "/admin/about", "/admin/audit",
    "/admin/attempts", "/admin/attempts?client={key}",
    "/admin/usage?by=model&bucket=1d&since={month}&percentiles=1",
    "/admin/usage?by=client&bucket=1d&since={week}&percentiles=1",
    "/admin/usage?by=client,model&since={month}",
    "/admin/usage?by=model&bucket=1h&since={day}&percentiles=1",
    "/admin/usage?by=model&bucket=1h&since={week}", "/metrics",
)  # fmt: skip
_CONFIG = """
admin: {{port: 0, token: {{env: BENCH_TOKEN}}}}
ledger: {{url: "{url}"}}
pool:
  projects:
    - {{name: p0, keys: [{{env: BENCH_KEY}}]}}
"""
_TOKEN = "bench"


def fill(url: str, rows: int) -> str:
    """Write a ledger, and return the id of one of its keys."""
    engine = open_engine(url, None)
    chance, now = random.Random(1), time()
    keys = [issue(engine, f"key {i}", Rules(dollars={"month": 100}), now, None)[0] for i in range(50)]
    models = [f"gemini-{i}" for i in range(6)]
    for first in range(0, rows, _BATCH):
        some = []
        for i in range(first, min(rows, first + _BATCH)):
            at, error = now - (rows - i) / rows * _DAYS * 86400, chance.random() < 0.03
            some.append({
                "id": f"{i:032x}", "at": at, "request_id": f"req_{i}", "client": chance.choice(keys),
                "project": f"p{chance.randrange(4)}", "model": chance.choice(models), "surface": "chat",
                "reserved": "", "ended": at + 2, "outcome": "error" if error else "ok", "status": 503 if error else 200,
                "prompt": 900, "cached": 100, "tool_use": 0, "completion": 300, "thoughts": 50, "prompt_image": 0,
                "prompt_video": 0, "prompt_audio": 0, "completion_image": 0, "completion_audio": 0, "searches": 0,
                "micros": 1200, "first_byte_ms": chance.randrange(2000), "duration_ms": chance.randrange(9000),
                "price": "2026-10-01", "exact": True,
            })  # fmt: skip
        with engine.begin() as connection:
            connection.execute(attempt.insert(), some)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE attempt"))
    engine.dispose()
    return keys[7]


def ask(address: str, key: str, answers: Connection) -> None:
    """Send the requests, and report path, status, milliseconds and bytes of each."""
    now = time()
    places = {"key": key, "month": now - 30 * 86400, "week": now - 7 * 86400, "day": now - 86400}
    for path in _PATHS:
        begin = perf_counter()
        request = Request(address + path.format(**places), headers={"Authorization": f"Bearer {_TOKEN}"})
        with urlopen(request) as response:
            size, status = len(response.read()), response.status
        answers.send((path, status, 1000 * (perf_counter() - begin), size))
    answers.close()


async def longest_hold(until: asyncio.Event) -> float:
    """Return the longest time in milliseconds that the event loop did not come round.

    It is at most the CPU time of all threads in between: on a busy machine the process itself waits for its turn.
    """
    longest, last, used = 0.0, monotonic(), process_time()
    while not until.is_set():
        await asyncio.sleep(0.001)
        now, cpu = monotonic(), process_time()
        longest = max(longest, min(now - last - 0.001, cpu - used))
        last, used = now, cpu
    return 1000 * longest


async def measure(address: str, key: str, title: str) -> None:
    """Print a table of all requests."""
    print(f"\n{title}\n{'ms':>8} {'loop held':>9} {'bytes':>9}  path")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=ask, args=(address, key, theirs))
    process.start()
    theirs.close()
    for _ in _PATHS:
        done = asyncio.Event()
        watch = asyncio.create_task(longest_hold(done))
        path, status, ms, size = await asyncio.to_thread(ours.recv)
        done.set()
        print(
            f"{ms:8.0f} {await watch:9.1f} {size:9}  {path}{'' if status == 200 else f' {status}'}",
            flush=True,
        )
    process.join()


async def run(url: str, key: str) -> None:
    """Serve the admin API in this process, and measure it before and after summing."""
    os.environ |= {"BENCH_TOKEN": _TOKEN, "BENCH_KEY": "AQ.bench"}
    source = Source(_CONFIG.format(url=url), "bench")
    config = source.decode(GatewayConfig)
    app = build_app(config, source)
    turn, sums.catch_up = sums.catch_up, lambda *_: True
    runner = Runner(app)
    await runner.setup()
    admin = await listen_admin(Admin(lambda: app[SERVICES], config.admin).app(), config.admin, [])
    assert admin is not None
    address = f"http://127.0.0.1:{admin.addresses[0][1]}"
    if "--after" not in sys.argv:
        await measure(address, key, "before past hours are summed")
    engine, begin = open_engine(url, None), perf_counter()
    while not await asyncio.to_thread(turn, engine, time(), 0.5):
        await asyncio.sleep(0)
    print(f"\nsummed in {perf_counter() - begin:.1f} s")
    await measure(address, key, "after")
    await admin.cleanup()
    await runner.cleanup()


def main() -> None:
    """Fill the ledger, and measure."""
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    rows = int(arguments[0]) if arguments else 1_000_000
    with TemporaryDirectory() as folder:
        url = arguments[1] if len(arguments) > 1 else str(Path(folder) / "ledger.db")
        if "://" in url:
            engine = open_engine(url, None)
            metadata.drop_all(engine)
            engine.dispose()
        begin = perf_counter()
        key = fill(url, rows)
        print(json.dumps({"rows": rows, "filled in": round(perf_counter() - begin, 1)}))
        asyncio.run(run(url, key))


if __name__ == "__main__":
    main()
