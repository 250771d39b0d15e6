"""Kills a gateway twenty times under load: each answer has its row in the ledger, each upstream call has one, too."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
from aiohttp import web

from gateway.store.ledger.tables import open_engine
from gateway.store.ledger.writer import reconcile
from tests.cluster.processes import free_port, reachable

KILLS = int(os.environ.get("KILLS", "20"))
RATE = 500
"""Requests per second."""
SECONDS = 1.5
"""Of load for each kill, which comes after four fifths of it."""
GATEWAY = [sys.executable, "-m", "gateway"]
ENVIRON = {**os.environ, "KEY": "AQ.a"}
CONFIG = """
upstream: {{base_url: "http://127.0.0.1:{upstream}"}}
pool: {{projects: [{{name: a, keys: [{{env: KEY}}]}}]}}
ledger: {{url: "{ledger}"}}
logging: {{exchanges: false}}
"""


class Upstream:
    """A Gemini that answers at once, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        app = web.Application()
        app.router.add_post("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)

    async def start(self) -> int:
        """Start, and return the port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop."""
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.calls += 1
        await request.read()
        return web.json_response({
            "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1},
        })  # fmt: skip


class Load:
    """Requests at RATE; `answered` holds the ids of those that got a 200."""

    def __init__(self, port: int, key: str) -> None:
        self._url = f"http://127.0.0.1:{port}/v1/chat/completions"
        self._headers = {"Authorization": f"Bearer {key}"}
        self.answered: list[str] = []

    async def run(self) -> None:
        """Send for SECONDS. A gateway that is gone is no error."""
        async with aiohttp.ClientSession(headers=self._headers) as http, asyncio.TaskGroup() as tasks:
            begin = time.perf_counter()
            for i in range(int(RATE * SECONDS)):
                tasks.create_task(self._ask(http, f"r{time.monotonic_ns()}-{i}"))
                await asyncio.sleep(max(0.0, begin + (i + 1) / RATE - time.perf_counter()))

    async def _ask(self, http: aiohttp.ClientSession, request_id: str) -> None:
        body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}]}
        with suppress(aiohttp.ClientError, OSError):
            async with http.post(self._url, json=body, headers={"x-request-id": request_id}) as response:
                await response.read()
                if response.status == 200:
                    self.answered.append(request_id)


async def kill_under_load(config: Path) -> list[str]:
    """Start and kill the gateway KILLS times; return the ids of the requests that were answered."""
    port = free_port()
    issue = [*GATEWAY, "keys", "add", "x", "--config", str(config)]
    key = subprocess.run(issue, env=ENVIRON, capture_output=True, text=True, check=True).stdout.strip()
    load = Load(port, key)
    serve = [*GATEWAY, "serve", "--config", str(config), "--listen", f"127.0.0.1:{port}"]
    for _ in range(KILLS):
        process = subprocess.Popen(serve, env=ENVIRON, stderr=subprocess.DEVNULL)
        try:
            await reachable(port)
            loading = asyncio.create_task(load.run())
            await asyncio.sleep(SECONDS * 0.8)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        await loading
    return load.answered


def report(ledger: Path, answered: list[str], calls: int) -> bool:
    """Print what the ledger has of the answers and calls; return whether it has them all."""
    database = open_engine(str(ledger), None)
    reconciled = reconcile(database, time.time() + 1, time.time())
    database.dispose()
    connection = sqlite3.connect(ledger)
    outcomes = dict(connection.execute("SELECT request_id, outcome FROM attempt").fetchall())
    rows = connection.execute("SELECT COUNT(*) FROM attempt").fetchone()[0]
    integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    lost = [request_id for request_id in answered if outcomes.get(request_id) != "ok"]
    passed = not lost and rows >= calls and integrity == "ok" and len(answered) > KILLS * RATE / 2
    print(
        f"{'PASS' if passed else 'FAIL'} {KILLS} kills at {RATE}/s: {len(answered)} answers, {len(lost)} without "
        f"their row; {calls} upstream calls, {rows} rows ({reconciled} reconciled); integrity {integrity}"
    )
    return passed


async def main() -> int:
    """Return the exit code."""
    upstream = Upstream()
    upstream_port = await upstream.start()
    with tempfile.TemporaryDirectory() as name:
        ledger, config = Path(name) / "ledger.db", Path(name) / "gateway.yaml"
        config.write_text(CONFIG.format(upstream=upstream_port, ledger=ledger))
        answered = await kill_under_load(config)
        passed = report(ledger, answered, upstream.calls)
    await upstream.stop()
    return int(not passed)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
