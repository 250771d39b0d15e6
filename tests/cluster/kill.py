"""A gateway that is killed twenty times under load: no answer without its row, no upstream call without one."""

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
from aiohttp import web

ROUNDS = 20
RATE = 500
SECONDS = 1.5


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Upstream:
    """Answers at once, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.calls += 1
        await request.read()
        return web.json_response({
            "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1},
        })  # fmt: skip


async def reachable(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)


async def load(port: int, key: str, answered: list[str]) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http:

        async def one(number: int) -> None:
            body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}]}
            name = f"r{time.monotonic_ns()}-{number}"
            with suppress(aiohttp.ClientError, OSError):
                url = f"http://127.0.0.1:{port}/v1/chat/completions"
                async with http.post(url, json=body, headers={"x-request-id": name}) as response:
                    await response.read()
                    if response.status == 200:
                        answered.append(name)

        tasks = []
        begin = time.perf_counter()
        for i in range(int(RATE * SECONDS)):
            tasks.append(asyncio.create_task(one(i)))
            await asyncio.sleep(max(0.0, begin + (i + 1) / RATE - time.perf_counter()))
        await asyncio.gather(*tasks)


async def main() -> int:
    upstream, answered = Upstream(), []  # type: ignore[var-annotated]
    app = web.Application()
    app.router.add_post("/{path:.*}", upstream.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        config = folder / "gateway.yaml"
        config.write_text(
            f"upstream: {{base_url: 'http://127.0.0.1:{runner.addresses[0][1]}'}}\n"
            "pool: {projects: [{name: a, keys: [{env: KEY}]}]}\n"
            f"ledger: {{url: {folder}/ledger.db}}\nlogging: {{exchanges: false}}\n"
        )
        environ = {**os.environ, "KEY": "AIza-a"}
        gateway = [sys.executable, "-m", "gateway"]
        issued = [*gateway, "keys", "add", "x", "--config", str(config)]
        key = subprocess.run(issued, env=environ, capture_output=True, text=True, check=True).stdout.strip()
        serve = [*gateway, "serve", "--config", str(config), "--listen", f"127.0.0.1:{port}"]
        for _ in range(ROUNDS):
            process = subprocess.Popen(serve, env=environ, stderr=subprocess.DEVNULL)
            await reachable(port)
            loading = asyncio.create_task(load(port, key, answered))
            await asyncio.sleep(SECONDS * 0.8)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            await loading
        from gateway.store.ledger.tables import engine
        from gateway.store.ledger.writer import reconcile

        made = engine(str(folder / "ledger.db"), None)
        unknown = reconcile(made, time.time() + 1, time.time())
        made.dispose()
        with sqlite3.connect(folder / "ledger.db") as connection:
            rows = dict(connection.execute("SELECT request_id, outcome FROM attempt").fetchall())
            total = connection.execute("SELECT COUNT(*) FROM attempt").fetchone()[0]
            good = connection.execute("PRAGMA integrity_check").fetchone()[0]
        connection.close()
    await runner.cleanup()
    lost = [one for one in answered if rows.get(one) != "ok"]
    fine = not lost and total >= upstream.calls and good == "ok" and len(answered) > ROUNDS * RATE / 2
    print(f"{'PASS' if fine else 'FAIL'} {ROUNDS} kills at {RATE}/s: {len(answered)} answers, {len(lost)} without their row; "
          f"{upstream.calls} upstream calls, {total} rows ({unknown} reconciled); integrity {good}")  # fmt: skip
    return int(not fine)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
