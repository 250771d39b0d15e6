"""Traces: what spans a request leaves, what they never hold, and when there are none."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from conftest import RawUpstream, Serve, chunked, whole
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import SpanKind, StatusCode

from gateway.server.logs import Log
from gateway.server.traces import open_tracing
from gateway.tracing import Tracing

MODEL = "gemini-2.5-flash"
CONTENT = "a-secret-of-the-clients"
ANSWER = {
    "candidates": [
        {"content": {"parts": [{"text": CONTENT}], "role": "model"}, "finishReason": "STOP", "index": 0}
    ],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
    "modelVersion": f"{MODEL}-001",
    "responseId": "r",
}
OK = whole(json.dumps(ANSWER).encode())
STREAMED = [*chunked(b"data: " + json.dumps(ANSWER).encode() + b"\r\n\r\n"), b"0\r\n\r\n"]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def failing(status: bytes) -> list[bytes | None]:
    error = {"code": int(status[:3]), "message": f"no {CONTENT}", "status": "X"}
    return whole(json.dumps({"error": error}).encode(), status)


class Traced:
    """A gateway whose spans stay in memory."""

    def __init__(self, serve: Serve, http: aiohttp.ClientSession, upstream: RawUpstream) -> None:
        self._serve = serve
        self._http = http
        self._upstream = upstream
        self.exporter = InMemorySpanExporter()
        self.environ = serve.environ

    async def ask(self, *scripts: list[bytes | None], config: str = "", **body: Any) -> int:
        """The status of one chat request."""
        return await self.post("/v1/chat/completions", *scripts, config=config, **body)

    async def post(
        self,
        path: str,
        *scripts: list[bytes | None],
        config: str = "",
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> int:
        self._upstream.scripts = list(scripts)
        self.base = await self._serve(config, self._upstream.url)
        question = {"model": MODEL, "messages": [{"role": "user", "content": CONTENT}], **body}
        async with self._http.post(self.base + path, json=question, headers=headers) as response:
            await response.read()
            return response.status

    async def spans(self) -> list[ReadableSpan]:
        """All of them: the gateway is stopped for it. The request's own is the last."""
        await self._serve.stop()
        return list(self.exporter.get_finished_spans())


@pytest.fixture
def sampler() -> Sampler | None:
    return None


@pytest.fixture
def traced(
    serve: Serve,
    http: aiohttp.ClientSession,
    raw_upstream: RawUpstream,
    monkeypatch: pytest.MonkeyPatch,
    sampler: Sampler | None,
) -> Traced:
    found = Traced(serve, http, raw_upstream)
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(found.exporter))
    monkeypatch.setattr("gateway.server.app.open_tracing", lambda *_: Tracing(provider))
    return found


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_a_request_is_a_span_and_its_call_one_below(traced: Traced) -> None:
    assert await traced.ask(OK, headers={"x-request-id": "mine-1"}) == 200
    call, request = await traced.spans()

    assert (request.name, request.kind, request.parent) == (
        "POST /v1/chat/completions",
        SpanKind.SERVER,
        None,
    )
    assert told(request) == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.system": "gcp.gemini",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": f"{MODEL}-001",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
        "gateway.request_id": "mine-1",
        "gateway.attempts": 1,
        "gateway.stream": False,
    }
    assert (call.name, call.kind) == (f"chat {MODEL}", SpanKind.CLIENT)
    assert told(call) == {
        "http.response.status_code": 200,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.system": "gcp.gemini",
        "gen_ai.request.model": MODEL,
        "gateway.outcome": "ok",
    }
    assert call.parent is not None
    assert request.context is not None
    assert (call.parent.trace_id, call.parent.span_id) == (request.context.trace_id, request.context.span_id)
    times = [request.start_time, call.start_time, call.end_time, request.end_time]
    assert times == sorted(times, key=lambda ns: ns or 0)


async def test_a_streamed_one_tells_its_first_byte(traced: Traced) -> None:
    await traced.ask(STREAMED, stream=True)
    call, request = await traced.spans()

    assert told(request)["gateway.stream"] is True
    assert told(request)["gateway.first_byte_ms"] > 0
    assert told(request)["gen_ai.usage.output_tokens"] == 2
    assert told(call)["gateway.outcome"] == "ok"


@pytest.mark.parametrize("stream", [False, True])
async def test_each_attempt_is_a_span_with_its_project(traced: Traced, tmp_path: Path, stream: bool) -> None:
    traced.environ.update(A="AIzaSyOfProjectA", B="AIzaSyOfProjectB")
    # the ledger, too: what it does between belongs to no call of Google
    ledger = f"ledger: {{url: '{tmp_path}/ledger.db'}}"
    pool = "pool: {projects: [{name: a, keys: [{env: A}]}, {name: b, keys: [{env: B}]}]}"
    config = f"{pool}\n{ledger}"
    await traced.ask(failing(b"503 Unavailable"), STREAMED if stream else OK, config=config, stream=stream)
    first, second, request = await traced.spans()

    assert told(request)["gateway.attempts"] == 2
    assert (told(first)["gateway.outcome"], told(second)["gateway.outcome"]) == ("error", "ok")
    assert (told(first)["http.response.status_code"], told(first)["error.type"]) == (503, "overloaded")
    assert (first.status.status_code, second.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert request.status.status_code is StatusCode.UNSET
