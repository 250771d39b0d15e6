"""Client, log, metrics and ledger agree on the tokens of a call, whatever `usageMetadata` Google sends."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES
from gateway.store.ledger.tables import attempt, open_engine
from tests.support.servers import RawUpstream, Serve, chunked, whole
from tests.support.waiting import eventually

MODEL = "gemini-2.5-flash"
CANDIDATE: Any = {"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}
USER: list[Any] = [{"role": "user", "content": "x"}]
SURFACES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": USER, "stream_options": {"include_usage": True}}),
    "completions": ("/v1/completions", {"prompt": "x", "stream_options": {"include_usage": True}}),
    "responses": ("/v1/responses", {"input": "x", "store": False}),
    "messages": ("/v1/messages", {"messages": USER, "max_tokens": 9}),
}
"""Path and body of a request."""

Counts = dict[str, Any]


class Tokens(NamedTuple):
    input: int
    output: int
    cached: int
    thoughts: int | None = None
    """None where the dialect has no field for them."""


def of_openai(usage: Any) -> Tokens:
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return Tokens(
        usage["prompt_tokens"],
        usage["completion_tokens"],
        usage["prompt_tokens_details"]["cached_tokens"],
        usage["completion_tokens_details"]["reasoning_tokens"],
    )


def of_responses(usage: Any) -> Tokens:
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    return Tokens(
        usage["input_tokens"],
        usage["output_tokens"],
        usage["input_tokens_details"]["cached_tokens"],
        usage["output_tokens_details"]["reasoning_tokens"],
    )


def of_messages(usage: Any) -> Tokens:
    """Anthropic's `input_tokens` leave out the cached ones."""
    cached = usage["cache_read_input_tokens"]
    return Tokens(usage["input_tokens"] + cached, usage["output_tokens"], cached)


READ = {"chat": of_openai, "completions": of_openai, "responses": of_responses, "messages": of_messages}


def usage_objects(body: str, *, streamed: bool) -> Iterator[Any]:
    """Yield the usage of each event of a stream, or of the one answer."""
    lines = [line[6:] for line in body.splitlines() if line.startswith("data: {")] if streamed else [body]
    for line in lines:
        message = json.loads(line)
        yield message.get("usage") or message.get("response", {}).get("usage")


class Gateway:
    """A gateway with a ledger, and what it says of the tokens of each call."""

    def __init__(self, serve: Serve, upstream: RawUpstream, ledger: Path, log: list[RequestLog]) -> None:
        self._serve = serve
        self._upstream = upstream
        self._ledger = ledger
        self.log = log
        self.rows: list[Any] = []
        self.url = ""

    async def start(self) -> None:
        self.url = await self._serve(f"ledger: {{url: {self._ledger}}}", self._upstream.url)

    async def ask(
        self,
        http: aiohttp.ClientSession,
        surface: str,
        chunks: list[Counts],
        *,
        streamed: bool,
        **fields: Any,
    ) -> Tokens:
        """Return the client's tokens of an answer whose chunks carry these counts."""
        if streamed:
            events: list[Counts] = [{"usageMetadata": counts} for counts in chunks[:-1]]
            events.append({"candidates": [CANDIDATE], "usageMetadata": chunks[-1]})
            data = b"".join(b"data: %s\r\n\r\n" % json.dumps(event).encode() for event in events)
            self._upstream.scripts = [whole(data, kind=b"text/event-stream")]
        else:
            merged: Counts = {}
            for name, value in (item for counts in chunks for item in counts.items() if item[1] is not None):
                is_count = name in merged and isinstance(value, int) and name != "cachedContentTokenCount"
                merged[name] = max(merged[name], value) if is_count else value  # a count never falls
            self._upstream.scripts = [
                whole(json.dumps({"candidates": [CANDIDATE], "usageMetadata": merged}).encode())
            ]
        path, body = SURFACES[surface]
        async with http.post(
            self.url + path, json={"model": MODEL, "stream": streamed, **body, **fields}
        ) as response:
            text = await response.text()
        assert response.status == 200, text
        usage = [usage for usage in usage_objects(text, streamed=streamed) if usage]
        return READ[surface](usage[-1])

    async def settled(self, calls: int) -> list[Tokens]:
        """Return the ledger's new rows, once there are so many."""
        database = open_engine(str(self._ledger), None)
        try:
            async with asyncio.timeout(30):
                while True:
                    with database.connect() as connection:
                        rows = connection.execute(sa.select(attempt).order_by(attempt.c.at)).all()
                    new = rows[len(self.rows) :]
                    if len(new) == calls and all(row.ended is not None for row in new):
                        break
                    await asyncio.sleep(0.005)
        finally:
            database.dispose()
        self.rows = list(rows)
        return [
            Tokens(row.prompt + row.tool_use, row.completion + row.thoughts, row.cached, row.thoughts)
            for row in new
        ]

    def metrics(self) -> tuple[int, int]:
        """Return the sums of input and output over all models."""
        models = self._serve.app[SERVICES].statistics.models.values()
        return sum(m.prompt_tokens for m in models), sum(m.completion_tokens for m in models)


@pytest.fixture
async def gateway(
    serve: Serve, raw_upstream: RawUpstream, tmp_path: Path, request_lines: list[RequestLog]
) -> Gateway:
    result = Gateway(serve, raw_upstream, tmp_path / "ledger.db", request_lines)
    await result.start()
    return result


async def check(gateway: Gateway, http: aiohttp.ClientSession, chunks: list[Counts]) -> Tokens:
    """Ask every surface, unary and streamed; return the tokens that all agree on."""
    asked = [(surface, streamed) for surface in SURFACES for streamed in (False, True)]
    before, logged = gateway.metrics(), len(gateway.log)
    shown = [await gateway.ask(http, surface, chunks, streamed=streamed) for surface, streamed in asked]
    rows = await gateway.settled(len(asked))
    await eventually(lambda: len(gateway.log) >= logged + len(asked))

    tokens = rows[0]
    assert rows == [tokens] * len(asked)
    for (surface, streamed), client in zip(asked, shown, strict=True):
        expected = tokens if client.thoughts is not None else tokens._replace(thoughts=None)
        assert client == expected, (surface, streamed)
    assert [(line.prompt_tokens, line.completion_tokens) for line in gateway.log[logged:]] == [
        (tokens.input, tokens.output)
    ] * len(asked)
    after = gateway.metrics()
    assert (after[0] - before[0], after[1] - before[1]) == (
        tokens.input * len(asked),
        tokens.output * len(asked),
    )
    return tokens


NAMED: dict[str, tuple[list[Counts], Tokens]] = {
    "total only": ([{"promptTokenCount": 10, "totalTokenCount": 110}], Tokens(10, 100, 0, 0)),
    "nothing": ([{}], Tokens(0, 0, 0, 0)),
    "zeros": ([{"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 9}], Tokens(0, 0, 0, 0)),
    "negative": ([{"promptTokenCount": -3, "candidatesTokenCount": -2}], Tokens(0, 0, 0, 0)),
    "thoughts": (
        [{"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7}], Tokens(10, 12, 0, 7)),
    "thoughts alone": (
        [{"promptTokenCount": 10, "thoughtsTokenCount": 7, "totalTokenCount": 90}], Tokens(10, 7, 0, 7)),
    "tool use": (
        [{"promptTokenCount": 10, "toolUsePromptTokenCount": 4, "candidatesTokenCount": 5}], Tokens(14, 5, 0, 0)),
    "more cached than prompt": (
        [{"promptTokenCount": 10, "cachedContentTokenCount": 40, "candidatesTokenCount": 5}], Tokens(10, 5, 10, 0)),
    "cached with tool use": (
        [{"promptTokenCount": 10, "toolUsePromptTokenCount": 9, "cachedContentTokenCount": 15}], Tokens(19, 0, 10, 0)),
    "total first": ([{"totalTokenCount": 110}, {"promptTokenCount": 10}], Tokens(10, 100, 0, 0)),
    "smaller later": ([{"promptTokenCount": 10, "candidatesTokenCount": 50}, {"candidatesTokenCount": 5}],
                      Tokens(10, 50, 0, 0)),
    "absurdly large": (
        [{"promptTokenCount": 2**62, "candidatesTokenCount": 2**62, "thoughtsTokenCount": 2**62}],
        Tokens(2**31 - 1, 2**32 - 2, 0, 2**31 - 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
async def test_named_counts(gateway: Gateway, http: aiohttp.ClientSession, name: str) -> None:
    chunks, tokens = NAMED[name]

    assert await check(gateway, http, chunks) == tokens


COUNT = st.one_of(
    st.none(), st.integers(-3, 300), st.sampled_from([0, -(2**63), 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1])
)
DETAILS = st.one_of(
    st.none(),
    st.lists(
        st.fixed_dictionaries(
            {
                "modality": st.sampled_from(["TEXT", "IMAGE", "AUDIO", "VIDEO", "DOCUMENT", "NEW", 1, 4]),
                "tokenCount": st.integers(-3, 2**62),
            }
        ),
        max_size=3,
    ),
)
USAGE = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            (
                "promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount",
                "cachedContentTokenCount", "totalTokenCount",
            ),
            COUNT,
        ),
        "promptTokensDetails": DETAILS,
        "candidatesTokensDetails": DETAILS,
    },
)  # fmt: skip


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunks=st.lists(USAGE, min_size=1, max_size=3))
async def test_any_counts(gateway: Gateway, http: aiohttp.ClientSession, chunks: list[Counts]) -> None:
    tokens = await check(gateway, http, chunks)

    assert min(tokens.input, tokens.output, tokens.cached) >= 0
    assert tokens.cached <= tokens.input


async def test_of_several_calls_the_client_pays_one_prompt(
    gateway: Gateway, http: aiohttp.ClientSession
) -> None:
    """OpenAI counts the prompt of `n` choices once; Google bills it with each of the calls."""
    counts = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 1}

    for streamed in (False, True):
        assert await gateway.ask(http, "chat", [counts], streamed=streamed, n=3) == Tokens(10, 18, 0, 3)
        assert await gateway.settled(3) == [Tokens(10, 6, 0, 1)] * 3
    await eventually(lambda: len(gateway.log) >= 2)
    assert [(line.prompt_tokens, line.completion_tokens) for line in gateway.log] == [(30, 18)] * 2


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_attempt_that_is_repeated_is_counted_everywhere(
    gateway: Gateway, http: aiohttp.ClientSession, raw_upstream: RawUpstream, streamed: bool
) -> None:
    """Google bills an empty answer too; the client is told of the answer that it gets."""
    counts = {"promptTokenCount": 10, "candidatesTokenCount": 5}
    empty, good = {"candidates": [{"finishReason": "STOP"}]}, {"candidates": [CANDIDATE]}
    bodies = [json.dumps({**answer, "usageMetadata": counts}).encode() for answer in (empty, good)]
    raw_upstream.scripts = [
        whole(b"data: %s\r\n\r\n" % body, kind=b"text/event-stream") if streamed else whole(body)
        for body in bodies
    ]
    path, body = SURFACES["chat"]
    async with http.post(gateway.url + path, json={"model": MODEL, "stream": streamed, **body}) as response:
        text = await response.text()

    (usage,) = [usage for usage in usage_objects(text, streamed=streamed) if usage]
    assert of_openai(usage) == Tokens(10, 5, 0, 0)
    assert await gateway.settled(2) == [Tokens(10, 5, 0, 0)] * 2
    await eventually(lambda: gateway.log)
    assert (gateway.log[0].prompt_tokens, gateway.log[0].completion_tokens) == (20, 10)
    assert gateway.metrics() == (20, 10)


async def test_counts_before_a_disconnect_are_settled_on_the_native_surface(
    gateway: Gateway, http: aiohttp.ClientSession, raw_upstream: RawUpstream
) -> None:
    """Google sends counts with every chunk, and bills them although the client has left."""
    event = {
        "candidates": [{"content": {"parts": [{"text": "hi"}]}}],
        "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 2},
    }
    raw_upstream.scripts = [[*chunked(b"data: %s\r\n\r\n" % json.dumps(event).encode()), None]]
    url = f"{gateway.url}/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"
    async with http.post(url, json={"contents": [{"parts": [{"text": "x"}]}]}) as response:
        assert b"usageMetadata" in await response.content.readline()

    assert await gateway.settled(1) == [Tokens(1000, 2, 0, 0)]
    assert gateway.rows[-1].outcome == "cancelled"
