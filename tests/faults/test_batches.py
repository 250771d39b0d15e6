"""A gateway that is killed while it works on a batch: nothing is lost, and nothing is asked for twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from time import time

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.emulator.server import build_fake
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine
from tests.support.batches import BatchClient, line
from tests.support.gateway_process import Gateway, config, ready

KILLED_AT = {
    "before the submission arrives": (":batchGenerateContent", False),
    "after the submission, before its answer": (":batchGenerateContent", True),
    "before the answers are read": ("/v1beta/batches/", False),
    "after the answers are sent": ("/v1beta/batches/", True),
}
"""Path of the call during which the gateway is killed, and whether Google has done it."""


class Google:
    """The emulator, which lets a test kill the gateway in the middle of a call."""

    def __init__(self, path: str, *, is_done: bool) -> None:
        self.path, self.is_done = path, is_done
        self.reached = asyncio.Event()
        self.calls: Counter[str] = Counter()
        self.created = 0

    @web.middleware
    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.calls[request.method + " " + request.path.partition("/batches/")[1]] += 1
        if self.reached.is_set() or self.path not in request.path:
            response = await handler(request)
        else:
            if self.is_done:
                await handler(request)
            self.reached.set()
            await asyncio.sleep(30)  # until the connection is gone
            raise web.HTTPBadGateway
        self.created += ":batchGenerateContent" in request.path
        return response


@pytest.fixture
async def google(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Google, str]]:
    path, is_done = KILLED_AT[request.param]
    upstream = Google(path, is_done=is_done)
    app = build_fake(pace=0.001)
    app.middlewares.append(upstream.around)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield upstream, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.slow
@pytest.mark.parametrize("google", KILLED_AT, indirect=True)
async def test_a_batch_survives_kill_9(
    start: list[Gateway], tmp_path: Path, google: tuple[Google, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, url = google
    monkeypatch.setenv("KEY_A", "AIza-a")
    settings = config(url) + (
        "pool: {projects: [{name: a, keys: [{env: KEY_A}]}]}\n"
        f"ledger: {{url: {tmp_path}/ledger.db}}\n"
        f"plugins: {{chat: {{}}, health: {{}}, files: {{path: {tmp_path}/files}}, "
        f"batches: {{path: {tmp_path}/batches, poll: 0.2, longest_poll: 0.5}}}}\n"
    )
    engine = open_engine(f"{tmp_path}/ledger.db", None)
    _, key = client_keys.issue(engine, "x", Rules(dollars={"month": 5.0}), time(), None)
    engine.dispose()
    gateway = Gateway(tmp_path, settings)
    start.append(gateway)
    client = BatchClient(await ready(gateway), key)
    batch = await client.started([line("a", None), line("b", None)])
    await asyncio.wait_for(upstream.reached.wait(), 20)

    gateway.close()
    (tmp_path / "notify").unlink()
    again = Gateway(tmp_path, settings)
    start.append(again)
    began = time()
    client = BatchClient(await ready(again), key)
    done = await client.reached(batch, "completed", seconds=60)

    assert time() - began < 60
    assert upstream.created + (upstream.is_done and "batchGenerate" in upstream.path) == 1
    assert [each["custom_id"] for each in await client.content(done["output_file_id"])] == ["a", "b"]
    assert done["error_file_id"] is None
