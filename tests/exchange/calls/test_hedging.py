"""A second project beside a silent first one: when, how often, who wins, and what the ledger says of it."""

import asyncio
import json
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from aiohttp import web

from gateway.errors import ConfigError
from gateway.plugin import SERVICES
from gateway.policy.clients.client_rules import Rules
from gateway.policy.hedging import Hedge
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import attempt, open_engine
from tests.support.servers import Serve
from tests.support.waiting import eventually

MODEL = "gemini-2.5-flash"


class Slow:
    """An upstream whose first call keeps silent until it is left, and whose others answer."""

    def __init__(self) -> None:
        self.silent = 1
        self.keys: list[str] = []
        self.left = asyncio.Event()
        self.refused = 0
        """Calls that are refused, of those that are not silent."""
        self.go = asyncio.Event()
        """Ends the silence."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers["x-goog-api-key"])
        await request.read()
        if self.silent:
            self.silent -= 1
            try:
                await self.go.wait()
            finally:
                self.left.set()
        elif self.refused:
            self.refused -= 1
            error = {
                "code": 400,
                "message": "Penalty is not enabled for this model",
                "status": "INVALID_ARGUMENT",
            }
            return web.json_response({"error": error}, status=400)
        answer = {
            "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
        }
        if "stream" not in request.path:
            return web.json_response(answer)
        body = b"data: " + json.dumps(answer).encode() + b"\r\n\r\n"
        return web.Response(body=body, headers={"Content-Type": "text/event-stream"})


@pytest.fixture
async def slow() -> Slow:
    return Slow()


@pytest.fixture
async def upstream(slow: Slow) -> Any:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", slow.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


class Pooled:
    def __init__(self, serve: Serve, folder: Path, upstream: str) -> None:
        self._serve, self._upstream = serve, upstream
        self.file = folder / "ledger.db"
        engine = open_engine(str(self.file), None)
        _, self.key = client_keys.issue(engine, "x", Rules(), time(), None)
        engine.dispose()
        self.base = ""

    async def start(self, projects: str, share: float = 0.5, more: str = "") -> None:
        self._serve.environ = {f"KEY_{name}": f"AIza-{name}" for name in projects}
        listed = ", ".join(f"{{name: {name}, keys: [{{env: KEY_{name}}}]}}" for name in projects)
        hedge = f"hedge: {{share: {share}}}"
        text = f"upstream: {{base_url: '{self._upstream}', {hedge}}}\npool: {{projects: [{listed}]}}\n"
        self.base = await self._serve.text(f"{text}ledger: {{url: {self.file}}}\n{more}")

    async def ask(self, **fields: Any) -> tuple[int, str]:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], **fields}
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.key}"}) as http,
            http.post(f"{self.base}/v1/chat/completions", json=body) as response,
        ):
            return response.status, await response.text()

    def rows(self) -> list[tuple[str, str, int]]:
        engine = open_engine(str(self.file), None)
        with engine.connect() as connection:
            rows = connection.execute(sa.select(attempt).order_by(attempt.c.at)).all()
        engine.dispose()
        return [(row.project, row.outcome, row.prompt) for row in rows]


@pytest.fixture
async def pooled(serve: Serve, tmp_path: Path, upstream: str) -> Pooled:
    return Pooled(serve, tmp_path, upstream)


class Silence:
    """The silence after which another project is asked: for ever at first, so that a slow machine hedges no call."""

    def __init__(self) -> None:
        self.seconds = 600.0


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Silence:
    value = Silence()
    monkeypatch.setattr(Hedge, "delay", lambda *_, **__: value.seconds)
    return value


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_second_project_answers_for_a_silent_first(
    serve: Serve, pooled: Pooled, slow: Slow, silence: Silence, streamed: bool
) -> None:
    slow.silent = 0
    await pooled.start("ab")
    for _ in range(4):  # which earn what one costs
        await pooled.ask(stream=streamed)
    slow.silent = 1
    del slow.keys[:]
    silence.seconds = 0.3  # the first call has reached the upstream by then
    status, text = await pooled.ask(stream=streamed)

    assert status == 200
    assert text.count('"hi"') == 1
    assert len(set(slow.keys)) == 2
    await eventually(slow.left.is_set)
    await eventually(lambda: [row for row in pooled.rows() if row[1] == "cancelled"])
    assert serve.app[SERVICES].statistics.hedges == {"won": 1}
    outcomes = [row[1] for row in pooled.rows()]
    assert (outcomes.count("ok"), outcomes.count("cancelled")) == (5, 1)
    (prompt,) = [row[2] for row in pooled.rows() if row[1] == "cancelled"]
    assert prompt > 3  # Google had counted nothing: the most that the call can have cost


async def test_a_second_project_that_fails_changes_nothing_for_the_first(
    serve: Serve, pooled: Pooled, slow: Slow, silence: Silence
) -> None:
    fields = {"model": "gemini-2.0-flash", "presence_penalty": 1}
    slow.silent = 0
    await pooled.start("ab")
    for _ in range(4):
        await pooled.ask(**fields)
    slow.silent, slow.refused = 1, 1
    del slow.keys[:]
    silence.seconds = 0.3  # the first call has reached the upstream by then
    asked = asyncio.create_task(pooled.ask(**fields))
    await eventually(lambda: [row for row in pooled.rows() if row[1] == "error"])
    silence.seconds = 600.0
    await pooled.ask(**fields)  # long enough for a third call, if one were made
    slow.go.set()

    assert (await asked)[0] == 200
    assert len(slow.keys) == 3  # a refusal with a remedy is not tried a second time beside the first
    assert serve.app[SERVICES].statistics.hedges == {"lost": 1}


@pytest.mark.parametrize(
    ("projects", "share", "tools"), [("a", 0.5, False), ("ab", 0, False), ("ab", 0.5, True)]
)
async def test_no_second_call_is_made_without_need(
    pooled: Pooled, slow: Slow, silence: Silence, projects: str, share: float, tools: bool
) -> None:
    fields: dict[str, Any] = {"web_search_options": {}} if tools else {}
    slow.silent = 0
    await pooled.start(projects, share)
    for _ in range(4):
        await pooled.ask()
    del slow.keys[:]
    slow.silent = 1
    silence.seconds = 0.02
    asked = asyncio.create_task(pooled.ask(**fields))
    await eventually(lambda: slow.keys)
    for _ in range(3):
        await pooled.ask(**fields)  # long enough for a second call, if one were made

    assert len(slow.keys) == 4
    asked.cancel()


async def test_a_mistake_is_reported_with_its_place(serve: Serve) -> None:
    with pytest.raises(ConfigError, match=r"test.yaml:1:\d+: .*share"):
        await serve.text("upstream: {hedge: {share: 2}}")
