"""Interactions through the gateway: what issued keys may ask, what it costs, and the tokens that were used."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from google import genai

from gateway.errors import Forbidden
from gateway.exchange.calls.cost import MOST_INPUT, PICTURE_INPUT, ModelOutput
from gateway.observability.request_log import RequestLog
from gateway.plugins.native import interactions
from gateway.plugins.native.interactions import InteractionReader
from tests.support.team import Team
from tests.support.waiting import eventually

M = "gemini-3.5-flash"
USAGE = {
    "total_tokens": 1160, "total_input_tokens": 1000, "total_cached_tokens": 200, "total_output_tokens": 100,
    "total_thought_tokens": 50, "total_tool_use_tokens": 10,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 700}, {"modality": "audio", "tokens": 300}],
    "output_tokens_by_modality": [{"modality": "text", "tokens": 100}],
    "grounding_tool_count": [{"type": "google_search", "count": 3}, {"type": "retrieval", "count": 9}],
}  # fmt: skip
DONE = {"id": "v1_x", "object": "interaction", "model": M, "status": "completed", "usage": USAGE,
        "steps": [{"type": "model_output", "content": [{"type": "text", "text": "hi"}]}]}  # fmt: skip
EVENTS: list[dict[str, Any]] = [
    {"event_type": "interaction.created", "interaction": {"id": "v1_x", "status": "in_progress", "model": M}},
    {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
    {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "hi"}},
    {"event_type": "step.stop", "index": 0},
    {
        "event_type": "interaction.completed",
        "interaction": {"id": "v1_x", "status": "completed", "usage": USAGE},
    },
]


def frames(events: list[dict[str, Any]], end: str = "data: [DONE]\n\n") -> bytes:
    text = "".join(f"event: {event['event_type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return (text + end).encode()


class Google:
    """Google's side: keeps what arrives, and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.events = EVENTS
        self.whole = DONE
        self.end = "data: [DONE]\n\n"
        self.cut = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.path_qs, headers, body))
        if not (body or {}).get("stream"):
            return web.json_response(self.whole)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(frames(self.events, self.end))
        if self.cut and request.transport is not None:
            await asyncio.sleep(0.05)
            request.transport.abort()
        return response


@pytest.fixture
async def google() -> Google:
    return Google()


async def post(
    team: Team, key: str, body: Any, path: str = "/v1/interactions", **headers: str
) -> tuple[int, bytes]:
    async with aiohttp.ClientSession(headers={"x-goog-api-key": key, **headers}) as http:
        try:
            async with http.post(team.base + path, json=body) as response:
                return response.status, await response.read()
        except aiohttp.ClientPayloadError:
            return 0, b""


async def settled(team: Team) -> Any:
    """Return the one row of the ledger, once it is complete: the end of a stream does not wait for it."""
    await eventually(lambda: team.rows() and all(row.ended is not None for row in team.rows()))
    (row,) = team.rows()
    return row


@pytest.mark.row("N3")
@pytest.mark.parametrize("path", ["/v1/interactions", "/v1beta/interactions", "/v1alpha/interactions"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("issued", [False, True])
async def test_n3_usage_reaches_the_ledger_and_the_revision_google(
    team: Team, google: Google, request_lines: list[RequestLog], path: str, stream: bool, issued: bool
) -> None:
    key = team.issue() if issued else "AIza-own"
    await team.start("a")
    body = {"model": M, "input": "hi", "stream": stream}
    status, data = await post(team, key, body, path, **{"Api-Revision": "2026-05-20"})

    assert (status, data) == (200, frames(EVENTS) if stream else json.dumps(DONE).encode())
    ((asked, headers, sent),) = google.requests
    assert (asked, headers["api-revision"]) == (path, "2026-05-20")
    assert headers["x-goog-api-key"] == ("AIza-a" if issued else "AIza-own")
    assert sent == (body | {"store": False} if issued else body)
    row = await settled(team)
    assert (row.surface, row.model, row.outcome, row.exact) == ("interactions", M, "ok", True)
    assert (row.prompt, row.cached, row.tool_use, row.completion, row.thoughts) == (1000, 200, 10, 100, 50)
    assert (row.searches, row.prompt_audio, row.micros > 0) == (3, 300, True)
    await eventually(lambda: request_lines)
    assert (request_lines[-1].prompt_tokens, request_lines[-1].completion_tokens) == (1010, 150)


@pytest.mark.row("N3")
@pytest.mark.parametrize("stream", [False, True])
async def test_n3_budgets_hold(team: Team, google: Google, stream: bool) -> None:
    key = team.issue(tokens={"total": 3700})
    await team.start("a")
    body = {
        "model": M,
        "input": "x" * 1200,
        "stream": stream,
        "generation_config": {"max_output_tokens": 200},
    }
    statuses = [(await post(team, key, body))[0] for _ in range(5)]

    assert statuses == [200, 200, 429, 429, 429]  # 1160 each, and 1380 are not enough to begin a third
    assert (await post(team, key, {**body, "generation_config": {}}))[0] == 429


@pytest.mark.row("N3")
async def test_n3_many_at_once_do_not_pass_a_budget(team: Team, google: Google) -> None:
    key = team.issue(tokens={"total": 4000})
    await team.start("a")
    body = {"model": M, "input": "hi", "generation_config": {"max_output_tokens": 1200}}
    answers = await asyncio.gather(*(post(team, key, body) for _ in range(20)))

    passed = [status for status, _ in answers].count(200)
    assert 0 < passed <= 3
    assert (
        sum(
            row.prompt + row.completion + row.thoughts + row.tool_use
            for row in team.rows()
            if row.outcome == "ok"
        )
        <= 4000
    )


@pytest.mark.row("N3")
@pytest.mark.parametrize("cut", [True, False])
async def test_n3_a_stream_that_breaks_off_is_estimated(team: Team, google: Google, cut: bool) -> None:
    key = team.issue(tokens={"total": 1_000_000})
    await team.start("a")
    google.events, google.end, google.cut = EVENTS[:3], "", cut
    body = {"model": M, "input": "hi", "stream": True, "generation_config": {"max_output_tokens": 500}}
    status, data = await post(team, key, body)

    assert (status, b'"error"' in data) == (200, True)
    row = await settled(team)
    assert (row.outcome, row.exact, row.completion) == ("error", False, 500)


@pytest.mark.row("N3")
async def test_n3_an_issued_key_makes_plain_calls_of_its_models(team: Team, google: Google) -> None:
    key = team.issue(models=(f"{M}*",))
    await team.start("a")
    for field, value, status in (
        ("agent", "deep-research-pro", 403), ("environment", "env_1", 403), ("background", True, 403),
        ("webhook_config", {}, 403), ("webhookConfig", {}, 403), ("credentials", [], 403), ("continuation_token", "x", 403),
        ("unheard_of", 1, 403), ("previous_interaction_id", "v1_other", 404), ("previousInteractionId", "v1_other", 404),
        ("tools", [{"type": "file_search", "file_search_store_names": ["s"]}], 403),
        ("tools", [{"type": "mcp_server", "url": "https://x"}], 403), ("tools", [{"googleSearch": {}}], 403),
        ("input", [{"type": "document", "uri": "files/other"}], 404),
        ("input", [{"type": "user_input", "content": [{"type": "image", "uri": "https://generativelanguage.googleapis.com/v1beta/files/other"}]}], 404),
        ("cached_content", "cachedContents/other", 404), ("model", "gemini-3-pro", 403), ("model", None, 400),
    ):  # fmt: skip
        body: dict[str, Any] = {"model": M, "input": "hi", field: value}
        got, data = await post(team, key, body)
        assert (got, json.loads(data)["error"]["code"]) == (status, status), (field, data)
    assert google.requests == []
    tools = [{"type": "google_search"}, {"type": "function", "name": "f", "parameters": {"type": "object"}}]
    for more in ({"tools": tools}, {"store": True}, {"store": False}, {"model": f"models/{M}"}):
        assert (await post(team, key, {"model": M, "input": "hi", **more}))[0] == 200
        assert google.requests[-1][2]["store"] is False
    async with aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http:
        for method, path in (("GET", "/v1/interactions/v1_x"), ("DELETE", "/v1/interactions/v1_x"),
                             ("POST", "/v1/interactions/v1_x/cancel"), ("GET", "/v1/interactions")):  # fmt: skip
            async with http.request(method, team.base + path) as response:
                assert response.status == 403


@pytest.mark.row("N3")
async def test_n3_what_is_not_honoured_is_noted(
    team: Team, google: Google, request_lines: list[RequestLog]
) -> None:
    key = team.issue()
    await team.start("a")
    async with aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http:
        for stream in (False, True):
            for stored in ({}, {"store": True}, {"store": False}):
                body = {"model": M, "input": "hi", "stream": stream, **stored}
                async with http.post(f"{team.base}/v1/interactions", json=body) as response:
                    assert await response.read()
                    noted = None if stored == {"store": False} else "store"  # Google stores by default
                    assert response.headers.get("x-gateway-notes") == noted
    await eventually(lambda: len(request_lines) == 6)
    assert [line.notes for line in request_lines] == [["store"], ["store"], None] * 2


@pytest.mark.row("N3")
async def test_n3_an_own_key_may_do_all_and_nothing_is_changed(team: Team, google: Google) -> None:
    await team.start("a")
    body = {
        "agent": "deep-research-pro",
        "input": "hi",
        "background": True,
        "store": True,
        "x": {"y": [1.50]},
    }
    google.whole = {"id": "v1_x", "status": "in_progress"}
    status, data = await post(team, "AIza-own", body)

    assert (status, json.loads(data), google.requests[-1][2]) == (200, google.whole, body)
    row = await settled(team)
    assert (row.model, row.prompt, row.outcome) == ("deep-research-pro", 0, "ok")
    async with aiohttp.ClientSession(headers={"x-goog-api-key": "AIza-own"}) as http:
        for method, path in (("GET", "/v1/interactions/v1_x?stream=false"), ("DELETE", "/v1/interactions/v1_x"),
                             ("POST", "/v1/interactions/v1_x/cancel"), ("POST", "/v1/interactions/v1_x/auth_tokens")):  # fmt: skip
            async with http.request(method, team.base + path) as response:
                assert (response.status, google.requests[-1][0]) == (200, path)


@pytest.mark.row("N3")
@pytest.mark.parametrize("stream", [False, True])
async def test_n3_googles_sdk_reads_interactions(team: Team, google: Google, stream: bool) -> None:
    await team.start("a")
    key = "AIza-own"

    def ask() -> Any:
        client: Any = genai.Client(api_key=key, http_options={"base_url": team.base})
        if stream:
            return [
                event.event_type for event in client.interactions.create(model=M, input="hi", stream=True)
            ]
        return client.interactions.create(model=M, input="hi").usage.total_tokens

    result = await asyncio.to_thread(ask)
    assert result == ([event["event_type"] for event in EVENTS] if stream else 1160)
    assert google.requests[-1][0] == "/v1/interactions"
    row = await settled(team)
    assert (row.surface, row.completion, row.thoughts) == ("interactions", 100, 50)


STORES = "plugins: {native: {interactions: {store: true}}}\n"


async def call(team: Team, key: str, method: str, path: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http,
        http.request(method, team.base + path) as response,
    ):
        return response.status, await response.json()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stored_interaction_is_its_clients_and_in_its_project(
    team: Team, google: Google, stream: bool
) -> None:
    mine, other = team.issue(), team.issue()
    await team.start("abc", STORES)
    body = {"model": M, "input": "hi", "stream": stream}
    status, data = await post(team, mine, body)
    assert (status, data) == (200, frames(EVENTS) if stream else json.dumps(DONE).encode())
    assert google.requests[-1][2]["store"] is True
    project = google.requests[-1][1]["x-goog-api-key"]
    paths = (
        ("GET", "/v1/interactions/v1_x?stream=false&include_input=true"),
        ("POST", "/v1/interactions/v1_x/cancel"),
    )
    for method, path in paths:
        assert (await call(team, mine, method, path))[0] == 200
        assert google.requests[-1][0] == path
    for _ in range(3):
        assert (await post(team, mine, {**body, "previous_interaction_id": "v1_x"}))[0] == 200
    assert {headers["x-goog-api-key"] for _, headers, _ in google.requests} == {project}
    asked = len(google.requests)
    for method, path in (*paths, ("DELETE", "/v1/interactions/v1_x"), ("GET", "/v1/interactions/v1_none")):
        status, error = await call(team, other, method, path)
        assert (status, error["error"]["status"]) == (404, "NOT_FOUND")
    assert (await post(team, other, {**body, "previous_interaction_id": "v1_x"}))[0] == 404
    assert len(google.requests) == asked
    assert (await call(team, mine, "DELETE", "/v1/interactions/v1_x"))[0] == 200
    assert (await call(team, mine, "GET", "/v1/interactions/v1_x"))[0] == 404


async def test_a_client_may_still_ask_for_no_storage(team: Team, google: Google) -> None:
    key = team.issue()
    await team.start("a", STORES)
    assert (await post(team, key, {"model": M, "input": "hi", "store": False}))[0] == 200
    assert google.requests[-1][2]["store"] is False
    assert (await call(team, key, "GET", "/v1/interactions/v1_x"))[0] == 404
    for body in (
        {"agent": "deep-research-pro"},
        {"model": M, "background": True},
        {"model": M, "environment": "e"},
    ):
        assert (await post(team, key, {"input": "hi", **body}))[0] == 403
    for method, path in (("GET", "/v1/interactions"), ("POST", "/v1/interactions/v1_x/auth_tokens"),
                         ("DELETE", "/v1/interactions/v1_x/cancel"), ("PATCH", "/v1/interactions/v1_x")):  # fmt: skip
        assert (await call(team, key, method, path))[0] == 403


async def test_a_large_whole_answer_is_stored_before_its_end_is_sent(team: Team, google: Google) -> None:
    key = team.issue()
    await team.start("a", STORES)
    text = {"type": "text", "text": "x" * 1_000_000}
    google.whole = {**DONE, "steps": [{"type": "model_output", "content": [text]}], "id": "v1_last"}
    status, data = await post(team, key, {"model": M, "input": "hi"})
    assert (status, json.loads(data)) == (200, google.whole)
    assert (await call(team, key, "GET", "/v1/interactions/v1_last"))[0] == 200


async def test_what_was_said_before_is_reserved(team: Team, google: Google) -> None:
    key = team.issue(tokens={"total": 100_000})
    await team.start("a", STORES)
    body = {"model": M, "input": "hi", "generation_config": {"max_output_tokens": 10}}
    assert (await post(team, key, body))[0] == 200
    assert (await post(team, key, {**body, "previous_interaction_id": "v1_x"}))[0] == 429


PIECES = (1, 7, 64, 100_000)


@pytest.mark.row("N3")
@pytest.mark.parametrize("size", PIECES)
@pytest.mark.parametrize("data", [frames(EVENTS), frames(EVENTS, ""), json.dumps(DONE, indent=2).encode()])
def test_n3_counts_do_not_depend_on_where_the_bytes_are_cut(data: bytes, size: int) -> None:
    reader = InteractionReader()
    for i in range(0, len(data), size):
        reader.feed(data[i : i + size])
    counts = reader.close()

    assert (counts.input, counts.output, counts.searches, reader.is_counted) == (1010, 150, 3, True)
    assert (reader.version, reader.is_unfinished, reader.failure) == (M, False, None)


@pytest.mark.parametrize(
    ("data", "unfinished", "failed"),
    [
        (b"", False, False), (b"<html>", False, False), (b'{"usage": "none"}', False, False), (b"{}", False, False),
        (frames(EVENTS[:2]), True, False), (frames([{"event_type": "error", "error": {"code": "x"}}]), False, True),
        (b'{"usage": {"total_input_tokens": -5, "total_output_tokens": 99999999999}}', False, False),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_understood_counts_nothing_below_zero(
    data: bytes, unfinished: bool, failed: bool
) -> None:
    reader = InteractionReader()
    reader.feed(data)
    counts = reader.close()

    assert counts.prompt == 0
    assert (reader.is_unfinished, reader.failure is not None) == (unfinished, failed)


@pytest.mark.parametrize(
    ("fields", "prompt", "output", "searches"),
    [
        ({"input": "hi"}, 100, 65_536, 0),
        ({"input": "hi", "generation_config": {"max_output_tokens": 7}}, 100, 7, 0),
        ({"input": "hi", "generationConfig": {"maxOutputTokens": "9"}}, 100, 9, 0),
        ({"input": [{"type": "image", "mime_type": "image/png", "data": "A" * 40}]}, 60 + PICTURE_INPUT, 65_536, 0),
        ({"input": [{"type": "image", "uri": "files/a"}]}, 100 + PICTURE_INPUT, 65_536, 0),
        ({"input": {"content": [{"type": "audio", "data": "A" * 40}]}}, 60 + MOST_INPUT, 65_536, 0),
        ({"input": "hi", "tools": [{"type": "google_search"}]}, 100 + 2**16, 65_536, 16),
        ({"input": "hi", "cached_content": "cachedContents/x"}, 100 + MOST_INPUT, 65_536, 0),
    ],
)  # fmt: skip
def test_the_most_that_an_interaction_costs(fields: Any, prompt: int, output: int, searches: int) -> None:
    cost = interactions.interaction_cost(fields, 100, ModelOutput())
    assert (cost.most.prompt, cost.most.completion, cost.searches) == (prompt, output, searches)


def test_an_answer_with_pictures_may_be_longer_than_its_limit() -> None:
    fields = {
        "input": "hi",
        "generation_config": {"max_output_tokens": 7},
        "response_format": [{"type": "image"}],
    }
    assert interactions.interaction_cost(fields, 100, ModelOutput()).output > 7
    assert interactions.feature({**fields, "tools": [{"type": "url_context"}]}) == "image+urlContext"


def test_arguments_and_schemas_of_functions_name_no_files() -> None:
    steps = [
        {"type": "function_call", "arguments": {"type": "image", "uri": "files/a"}},
        {"type": "function_result", "result": [{"type": "image", "uri": "files/b"}, {"uri": "files/c"}]},
        {"type": "user_input", "content": [{"type": "video", "uri": "https://youtu.be/x"}]},
    ]
    assert list(interactions.files({"input": steps})) == ["files/b"]


def test_a_field_that_is_not_known_is_refused_by_its_own_name() -> None:
    with pytest.raises(Forbidden, match="`agent_config`"):
        interactions.plain({"model": M, "agent_config": {}})


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model": "models/g", "input": 1}', "g"), (b'{"agent": "a"}', "a"), (b"{", ""), (b"[]", ""),
        (b'{"model": 3}', ""), (None, ""), (b"\xff", ""), (b'{"model": "AIzaSyD-a-key-000000000"}', ""),
        (b'{"agent": "%s"}' % (b"x" * 300), ""),
    ],
)  # fmt: skip
def test_the_model_of_a_body(body: Any, model: str) -> None:
    assert interactions.answering(body) == model
