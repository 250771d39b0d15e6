"""Whatever a client does with an issued key, the ledger holds at least what Google bills, and no budget is overspent."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from gateway.plugin import SERVICES
from gateway.store.ledger.tables import attempt, budget, open_engine
from tests.attacks.metering import Behaviour, Meter
from tests.support.servers import Serve
from tests.support.team import Team

pytestmark = pytest.mark.row("A7")
M, EMBEDDING, IMAGEN = "gemini-2.5-flash", "gemini-embedding-001", "imagen-4.0-generate-001"
PLUGINS = "plugins: {chat: {}, completions: {}, responses: {}, messages: {}, embeddings: {}, moderations: {}, native: {}}\n"
NATIVE = f"/v1beta/models/{M}"
SURFACES = (
    "chat", "chat n", "completions", "responses", "background", "messages", "native", "native array", "native candidates",
    "native predict", "native embed", "native batch", "native count", "embeddings", "moderations",
)  # fmt: skip
QUERIES = (
    "",
    "fields=candidates",
    "$fields=candidates",
    "alt=proto",
    "callback=f",
    "prettyPrint=true",
    "$ct=x",
    "quotaUser=u",
)


class Ask(Struct, frozen=True):
    """What one client does."""

    surface: str
    behaviour: Behaviour = Behaviour()
    stream: bool = False
    most: int | None = None
    """`max_tokens`, or none."""
    leaves: int | None = None
    """Bytes of the answer after which the client leaves."""
    query: str = ""
    masked: bool = False
    """Sends a field mask."""


class World:
    """A gateway with a ledger, in front of a meter, in an event loop of its own."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.meter = Meter()
        self._places = asyncio.Semaphore(10)
        self._serve = Serve()
        self.run(self.meter.start())
        self._team = Team(self._serve, folder, self.meter.url)
        self.run(self._team.start("a", PLUGINS))
        self.engine = open_engine(str(self._team.file), None)

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def stop(self) -> None:
        self.engine.dispose()
        self.run(self._serve.stop())
        if self.meter.server is not None:
            self.meter.server.close()
        self.run(asyncio.sleep(0))
        self.loop.close()

    async def asked(self, asks: list[Ask], **rules: Any) -> str:
        """Do all at once with a new key; return the key's id once its calls have ended."""
        self.meter.behaviours = [ask.behaviour for ask in asks]
        self.meter.billed.clear()
        self.meter.bills.clear()
        key = self._team.issue(**rules)
        services = self._serve.app[SERVICES]
        await services.refresh_keys()
        key_id = services.access.identify({"x-api-key": key}, 0.0).id
        async with aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http:
            await asyncio.gather(*(self._one(http, i, ask) for i, ask in enumerate(asks)))
        async with asyncio.timeout(60):
            while services.running or any(row.ended is None for row in self.rows(key_id)):
                await asyncio.sleep(0.005)
        return key_id

    async def _one(self, http: aiohttp.ClientSession, number: int, ask: Ask) -> None:
        async with self._places:
            while await self._is_refused(http, number, ask):
                await asyncio.sleep(0.02)

    async def _is_refused(self, http: aiohttp.ClientSession, number: int, ask: Ask) -> bool:
        """Ask once; return whether the gateway had too much to do, which shares a loop with its clients here."""
        path, body = request(ask, f"<<{number}>> 0123456789")
        headers = {"X-Goog-FieldMask": "candidates"} if ask.masked else {}
        try:
            async with http.post(self._team.base + path, json=body, headers=headers) as response:
                if response.status == 503:
                    return "gateway_overloaded" in await response.text()
                if ask.leaves is None:
                    await response.read()
                elif ask.leaves:
                    await response.content.readexactly(ask.leaves)
                response.close()
        except (aiohttp.ClientError, asyncio.IncompleteReadError):
            pass
        return False

    def rows(self, key_id: str) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(attempt).where(attempt.c.client == key_id)))

    def budgets(self, key_id: str) -> dict[str, tuple[int, int]]:
        """Return what is spent and reserved by unit."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(budget).where(budget.c.client == key_id)).all()
        return {row.unit: (row.spent, row.reserved) for row in rows}

    def check(self, key_id: str, limit: int | None = None) -> None:
        """Compare the ledger with the meter."""
        rows, prices = self.rows(key_id), self._serve.app[SERVICES].exchange.accounting.prices
        tokens = sum(row.prompt + row.tool_use + row.completion + row.thoughts for row in rows)
        billed = sum(prices.micros(model, counts, time()) for model, counts in self.meter.bills)
        assert tokens >= self.meter.billed.total()
        assert sum(row.micros for row in rows) >= billed
        if limit is not None:
            spent, reserved = self.budgets(key_id).get("tokens", (0, 0))
            assert self.meter.billed.total() <= spent <= limit
            assert reserved == 0


def request(ask: Ask, text: str) -> tuple[str, Any]:
    """Return path and body."""
    turn = {"messages": [{"role": "user", "content": text}]}
    contents: dict[str, Any] = {"contents": [{"parts": [{"text": text}]}]}
    stream = {"stream": ask.stream}
    config = {} if ask.most is None else {"maxOutputTokens": ask.most}
    limit = {} if ask.most is None else {"max_tokens": ask.most}
    query = "&".join(filter(None, ("alt=sse" if ask.stream else "", ask.query)))
    verb = f"{NATIVE}:{'streamGenerateContent' if ask.stream else 'generateContent'}?{query}"
    requests = [{"model": f"models/{EMBEDDING}", "content": contents["contents"][0]}] * 3
    answers: dict[str, tuple[str, Any]] = {
        "chat": ("/v1/chat/completions", {"model": M, **turn, **stream, **limit}),
        "chat n": ("/v1/chat/completions", {"model": M, "n": 3, **turn, **stream, **limit}),
        "completions": ("/v1/completions", {"model": M, "prompt": [text, text], **stream, **limit}),
        "responses": ("/v1/responses", {"model": M, "input": text, **stream, "max_output_tokens": ask.most}),
        "background": ("/v1/responses", {"model": M, "input": text, "background": True, "max_output_tokens": ask.most}),
        "messages": ("/v1/messages", {"model": M, **turn, **stream, "max_tokens": ask.most or 4000}),
        "native": (verb, {**contents, "generationConfig": config}),
        "native array": (f"{NATIVE}:streamGenerateContent?{ask.query}", {**contents, "generationConfig": config}),
        "native candidates": (verb, {**contents, "generationConfig": {**config, "candidateCount": 8}}),
        "native predict": (
            f"/v1beta/models/{IMAGEN}:predict?{ask.query}", {"instances": [{"prompt": text}], "parameters": {"sampleCount": 2}},
        ),
        "native embed": (f"/v1beta/models/{EMBEDDING}:embedContent?{ask.query}", {"content": contents["contents"][0]}),
        "native batch": (f"/v1beta/models/{EMBEDDING}:batchEmbedContents?{ask.query}", {"requests": requests}),
        "native count": (f"{NATIVE}:countTokens?{ask.query}", contents),
        "embeddings": ("/v1/embeddings", {"model": EMBEDDING, "input": [text] * 3}),
        "moderations": ("/v1/moderations", {"input": [text, text]}),
    }  # fmt: skip
    return answers[ask.surface]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    result = World(tmp_path)
    yield result
    result.stop()


BEHAVIOURS = st.builds(
    Behaviour,
    told=st.sampled_from(("all", "late", "prompt", "none")),
    reset=st.none() | st.integers(0, 900),
    status=st.sampled_from((200, 200, 200, 503)),
    early=st.booleans(),
)
ASKS = st.builds(
    Ask,
    st.sampled_from(SURFACES), BEHAVIOURS, st.booleans(), st.none() | st.integers(1, 3000),
    st.none() | st.integers(0, 900), st.sampled_from(QUERIES), st.booleans(),
)  # fmt: skip
MIXTURES = st.lists(ASKS, min_size=1, max_size=8)
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=25, suppress_health_check=QUIET)
@given(MIXTURES, st.sampled_from((None, 500, 20_000, 10_000_000)))
def test_a07_the_ledger_holds_at_least_what_is_billed(
    world: World, asks: list[Ask], limit: int | None
) -> None:
    rules = {} if limit is None else {"tokens": {"total": limit}, "dollars": {"total": 1000.0}}
    world.check(world.run(world.asked(asks, **rules)), limit)


@pytest.mark.slow
@settings(max_examples=600, suppress_health_check=QUIET)
@given(MIXTURES, st.sampled_from((None, 500, 20_000, 200_000, 10_000_000)))
def test_a07_the_ledger_holds_at_least_what_is_billed_for_long(
    world: World, asks: list[Ask], limit: int | None
) -> None:
    rules = {} if limit is None else {"tokens": {"total": limit}, "dollars": {"total": 1000.0}}
    world.check(world.run(world.asked(asks, **rules)), limit)


STREAMS = ("chat", "completions", "responses", "messages", "native", "native array", "native candidates")


@pytest.mark.parametrize("told", ["all", "prompt"])
@pytest.mark.parametrize("surface", STREAMS)
def test_a07_streams_that_break_off_are_charged(world: World, surface: str, told: str) -> None:
    cut(world, surface, told, range(0, 1000, 61))


@pytest.mark.slow
@pytest.mark.parametrize("surface", STREAMS)
def test_a07_streams_that_break_off_at_each_byte_are_charged(world: World, surface: str) -> None:
    for first in range(0, 1000, 50):
        cut(world, surface, "all", range(first, first + 50))


def cut(world: World, surface: str, told: str, places: range) -> None:
    """Let the upstream reset the connection after so many bytes, then let the client leave there."""
    resets = [Ask(surface, Behaviour(told, reset=n), stream=True, most=100) for n in places]
    leaves = [Ask(surface, Behaviour(told), stream=True, most=100, leaves=n) for n in places]
    for asks in (resets, leaves):
        world.check(world.run(world.asked(asks, tokens={"total": 10**9})), 10**9)
        assert len(world.meter.bills) >= len(asks)


def test_a07_a_budget_is_not_overspent_by_calls_at_once(world: World) -> None:
    asks = [Ask("native candidates", Behaviour("none"), most=100)] * 20
    key_id = world.run(world.asked(asks, tokens={"total": 5000}))

    world.check(key_id, 5000)
    assert 3 <= len([row for row in world.rows(key_id) if row.outcome == "ok"]) <= 6


def test_a07_a_dollar_budget_holds_pictures(world: World) -> None:
    key_id = world.run(world.asked([Ask("native predict")] * 8, dollars={"total": 0.2}))
    spent, reserved = world.budgets(key_id)["money"]

    world.check(key_id)
    assert 1 <= len(world.meter.bills) <= 3
    assert (spent <= 200_000, reserved) == (True, 0)


def test_a07_what_is_told_is_charged_exactly(world: World) -> None:
    asks = [Ask(surface, stream=stream, most=100) for surface in STREAMS for stream in (False, True)]
    key_id = world.run(world.asked(asks, tokens={"total": 10**9}))
    rows = world.rows(key_id)

    assert len(world.meter.bills) == len(rows) > len(asks)
    assert all(row.exact for row in rows)
    assert sum(row.prompt + row.completion + row.thoughts for row in rows) == world.meter.billed.total()
