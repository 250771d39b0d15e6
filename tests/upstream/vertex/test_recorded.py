"""Recorded traffic of Vertex AI, answered on its URLs: through the native surface and as chat."""

import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.support.corpus import Record, recorded
from tests.support.servers import Serve, upstream_of
from tests.support.team import Team

LARGEST = 1024 * 1024


def is_chat(record: Record) -> bool:
    return (
        record["api"] == "vertex"
        and record["endpoint"] in ("generateContent", "streamGenerateContent", "countTokens")
        and "contents" in (record["request"] or {})
        and len(json.dumps(record["request"])) < LARGEST
    )


RECORDS = [parameter.values[0] for parameter in recorded(is_chat)]


class Recorded:
    """Vertex AI, which gives the answer of a record, and keeps what it was asked."""

    def __init__(self) -> None:
        self.record: Record = {}
        self.asked: list[tuple[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path_qs, await request.json()))
        return web.Response(body=self.body, status=self.record["status"], content_type=self.content_type)

    @property
    def content_type(self) -> str:
        return "text/event-stream" if isinstance(self.record["response"], list) else "application/json"

    @property
    def body(self) -> bytes:
        """The bytes of the record; an array, as streams without `alt=sse` answer, as events."""
        if self.record["kind"] == "json-array":
            return b"".join(
                b"data: %s\r\n\r\n" % json.dumps(event).encode() for event in self.record["response"]
            )
        return base64.b64decode(self.record["raw_b64"])


@pytest.fixture
async def upstream() -> Recorded:
    return Recorded()


@pytest.fixture
async def gateway(serve: Serve, tmp_path: Path, aiohttp_server: Any, upstream: Recorded) -> Team:
    url = await upstream_of(aiohttp_server, upstream.answer)
    team = Team(serve, tmp_path, url)
    serve.environ["EXPRESS"] = "AQ.express"
    project = f"{{name: express, keys: [{{env: EXPRESS}}], vertex: {{base_url: '{url}'}}}}"
    team.base = await serve(f"pool: {{projects: [{project}]}}\n{team.config}", url)
    return team


def text_of(events: list[Any]) -> str:
    candidates = [event["candidates"][0] for event in events if event.get("candidates")]
    parts = [part for candidate in candidates for part in candidate.get("content", {}).get("parts", ())]
    return "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))


@pytest.mark.skipif(RECORDS == [None], reason="no recorded Gemini traffic: set GATEWAY_CORPUS")
async def test_recorded_traffic_of_vertex_passes(gateway: Team, upstream: Recorded) -> None:
    """Requests arrive with the same meaning, answers with the same bytes, and their tokens are in the ledger."""
    key = gateway.issue()
    expected = []
    assert len(RECORDS) > 100
    async with aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http:
        for record in RECORDS:
            if "cachedContent" in record["request"]:  # a key without its own caches may not name one
                continue
            upstream.record, sse = record, isinstance(record["response"], list)
            query = "?alt=sse" if sse else ""
            model = record["model"].replace("does-not-exist", "none")
            path = f"{model}:{record['endpoint']}{query}"
            async with http.post(f"{gateway.base}/v1beta/models/{path}", json=record["request"]) as response:
                body = await response.read()
            assert upstream.asked, body
            asked, sent = upstream.asked.pop()
            assert asked == f"/v1/publishers/google/models/{path}"
            assert _same(record["request"], sent), record["id"]
            assert response.status == record["status"], (record["id"], body)
            if record["status"] == 200:
                assert body == upstream.body
                expected.append((record["endpoint"], record["response"]))

    rows = [row for row in await gateway.settled() if row.status == 200]
    assert len(rows) == len(expected)
    for row, (endpoint, answer) in zip(rows, expected, strict=True):
        usage = (answer[-1] if isinstance(answer, list) else answer).get("usageMetadata", {})
        if endpoint != "countTokens":
            assert row.prompt == usage["promptTokenCount"]
            assert row.micros > 0


@pytest.mark.skipif(RECORDS == [None], reason="no recorded Gemini traffic: set GATEWAY_CORPUS")
async def test_recorded_answers_of_vertex_are_chat(gateway: Team, upstream: Recorded) -> None:
    key = gateway.issue()
    for record in RECORDS:
        if record["status"] != 200 or record["endpoint"] == "countTokens":
            continue
        upstream.record, is_stream = record, isinstance(record["response"], list)
        status, _, answer = await gateway.ask(key, model=record["model"], stream=is_stream)
        events = record["response"] if is_stream else [record["response"]]
        assert status == 200, record["id"]
        if not is_stream:
            message = answer["choices"][0]["message"]
            assert (message["content"] or "").startswith(text_of(events)[:40]), record["id"]
            calls = [
                part
                for part in events[0]["candidates"][0]["content"].get("parts", ())
                if "functionCall" in part
            ]
            assert len(message.get("tool_calls") or ()) == len(calls)
            assert answer["usage"]["prompt_tokens"] >= events[0]["usageMetadata"]["promptTokenCount"]
        else:
            chunks = [json.loads(line[6:]) for line in answer.splitlines() if line.startswith("data: {")]
            deltas = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
            assert "".join(deltas).startswith(text_of(events)[:40]), record["id"]


def _same(recorded_request: Any, sent: Any) -> bool:
    """Return whether a request arrived as it was, in either spelling of its names."""
    if isinstance(recorded_request, dict) and isinstance(sent, dict):
        spelt = {name.replace("_", "").lower(): value for name, value in sent.items()}
        names = {name.replace("_", "").lower() for name in recorded_request}
        return names <= spelt.keys() and all(
            _same(value, spelt[name.replace("_", "").lower()]) for name, value in recorded_request.items()
        )
    if isinstance(recorded_request, list) and isinstance(sent, list):
        return len(recorded_request) == len(sent) and all(map(_same, recorded_request, sent))
    return bool(recorded_request == sent)
