"""A gateway that is killed while it works on a batch of Anthropic's: nothing is lost, and nothing is asked for twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import time

import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.emulator.server import build_fake
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import attempt, open_engine
from tests.plugins.batches.test_anthropic_routes import ended, entry, results, started
from tests.support.batches import BatchClient
from tests.support.gateway_process import Gateway, config, ready


class Google:
    """The emulator, whose first answer to a path does not arrive. The call has been made."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.reached = asyncio.Event()
        self.created = 0

    @web.middleware
    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        self.created += ":batchGenerateContent" in request.path
        if self.path in request.path and not self.reached.is_set():
            self.reached.set()
            await asyncio.sleep(30)  # until the connection is gone
        return response


@pytest.fixture
async def google(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Google, str]]:
    upstream = Google(request.param)
    app = build_fake(pace=0.001)
    app.middlewares.append(upstream.around)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield upstream, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.slow
@pytest.mark.parametrize("google", [":batchGenerateContent", "/v1beta/batches/"], indirect=True)
async def test_a_message_batch_survives_kill_9(
    start: list[Gateway], tmp_path: Path, google: tuple[Google, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, url = google
    monkeypatch.setenv("KEY_A", "AIza-a")
    settings = config(url) + (
        "pool: {projects: [{name: a, keys: [{env: KEY_A}]}]}\n"
        f"ledger: {{url: {tmp_path}/ledger.db}}\n"
        f"plugins: {{messages: {{}}, health: {{}}, "
        f"batches: {{path: {tmp_path}/batches, poll: 0.2, longest_poll: 0.5}}}}\n"
    )
    engine = open_engine(f"{tmp_path}/ledger.db", None)
    _, key = client_keys.issue(engine, "x", Rules(dollars={"month": 5.0}), time(), None)
    gateway = Gateway(tmp_path, settings)
    start.append(gateway)
    batch = await started(BatchClient(await ready(gateway), key), entry("a"), entry("b"))
    await asyncio.wait_for(upstream.reached.wait(), 20)

    gateway.close()
    (tmp_path / "notify").unlink()
    again = Gateway(tmp_path, settings)
    start.append(again)
    client = BatchClient(await ready(again), key)
    done = await ended(client, batch, seconds=60)

    assert (upstream.created, done["request_counts"]["succeeded"]) == (1, 2)
    assert [line["custom_id"] for line in await results(client, done["results_url"])] == ["a", "b"]
    with engine.connect() as connection:
        rows = connection.execute(sa.select(attempt.c.outcome, attempt.c.micros)).all()
    engine.dispose()
    assert [row.outcome for row in rows if row.micros] == ["ok"]
