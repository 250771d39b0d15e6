"""Traces: the spans of a request, what they never hold, and the end of the exporter."""

import asyncio
import json
from pathlib import Path
from threading import Event
from time import time
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import SpanKind, StatusCode

from gateway.observability.tracing import Tracing
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine
from tests.support.servers import RawUpstream, Serve, chunked, whole
from tests.support.waiting import eventually

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
        self.key = ""
        self._config = ""

    def pooled(self, projects: str, folder: Path) -> str:
        """Serve from these projects; a key that was issued."""
        for name in projects:
            self._serve.environ[f"KEY_{name}"] = f"AIzaSyOfProject-{name}"
        listed = ", ".join(f"{{name: {name}, keys: [{{env: KEY_{name}}}]}}" for name in projects)
        self._config = f"pool: {{projects: [{listed}]}}\nledger: {{url: {folder}/ledger.db}}"
        engine = open_engine(f"{folder}/ledger.db", None)
        _, self.key = client_keys.issue(engine, "x", Rules(), time(), None)
        engine.dispose()
        return self.key

    async def ask(self, *scripts: list[bytes | None], **more: Any) -> int:
        """The status of one chat request."""
        return await self.post("/v1/chat/completions", *scripts, **more)

    async def post(
        self,
        path: str,
        *scripts: list[bytes | None],
        key: str = "test-key",
        method: str = "POST",
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> int:
        """The status of one request, which Google answers with the scripts."""
        self._upstream.scripts = list(scripts)
        base = await self._serve(self._config, self._upstream.url)
        question = {"model": MODEL, "messages": [{"role": "user", "content": CONTENT}], **body}
        sent = {"Authorization": f"Bearer {key}", **(headers or {})}
        async with self._http.request(method, base + path, json=question, headers=sent) as response:
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
    traced = Traced(serve, http, raw_upstream)
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(traced.exporter))
    monkeypatch.setattr("gateway.server.application.open_tracing", lambda *_: Tracing(provider))
    return traced


def described(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_a_request_is_a_span_and_its_call_one_below(traced: Traced) -> None:
    assert await traced.ask(OK, headers={"x-request-id": "mine-1"}) == 200
    call, request = await traced.spans()

    assert (request.name, request.kind, request.parent) == (
        "POST /v1/chat/completions",
        SpanKind.SERVER,
        None,
    )
    assert described(request) == {
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
    assert described(call) == {
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


async def test_the_span_of_a_stream_has_its_first_byte(traced: Traced) -> None:
    await traced.ask(STREAMED, stream=True)
    call, request = await traced.spans()

    assert described(request)["gateway.stream"] is True
    assert described(request)["gateway.first_byte_ms"] > 0
    assert described(request)["gen_ai.usage.output_tokens"] == 2
    assert described(call)["gateway.outcome"] == "ok"


@pytest.mark.parametrize("stream", [False, True])
async def test_each_attempt_is_a_span_with_its_project(traced: Traced, tmp_path: Path, stream: bool) -> None:
    key = traced.pooled("ab", tmp_path)
    await traced.ask(failing(b"503 Unavailable"), STREAMED if stream else OK, key=key, stream=stream)
    first, second, request = await traced.spans()

    assert described(request)["gateway.attempts"] == 2
    assert described(request)["gateway.project"] == described(second)["gateway.project"]
    assert {described(first)["gateway.project"], described(second)["gateway.project"]} == {"a", "b"}
    assert (described(first)["gateway.outcome"], described(second)["gateway.outcome"]) == ("error", "ok")
    assert (described(first)["http.response.status_code"], described(first)["error.type"]) == (
        503,
        "overloaded",
    )
    assert (first.status.status_code, second.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert request.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("answer", "status", "error", "mark"),
    [
        (failing(b"500 Internal"), 500, "internal_error", StatusCode.ERROR),
        (failing(b"404 Not Found"), 404, "not_found", StatusCode.UNSET),
    ],
)
async def test_the_span_of_a_failed_request_has_its_error(
    traced: Traced, answer: list[bytes | None], status: int, error: str, mark: StatusCode
) -> None:
    assert await traced.ask(answer) == status
    *_, call, request = await traced.spans()

    assert (described(request)["error.type"], described(request)["http.response.status_code"]) == (
        error,
        status,
    )
    assert "gen_ai.response.model" not in described(request)
    assert request.status.status_code is mark
    assert (described(call)["error.type"], call.status.status_code) == (error, StatusCode.ERROR)


async def test_a_stream_that_breaks_is_an_error_in_spite_of_its_status(traced: Traced) -> None:
    half = json.dumps({**ANSWER, "candidates": [{"content": {"parts": [{"text": "x"}]}}]}).encode()
    assert await traced.ask([*chunked(b"data: " + half + b"\r\n\r\n"), b"0\r\n\r\n"], stream=True) == 200
    call, request = await traced.spans()

    assert described(request)["error.type"] == described(call)["error.type"] == "upstream_incomplete"
    assert request.status.status_code is StatusCode.ERROR


async def test_a_client_that_leaves(traced: Traced, raw_upstream: RawUpstream) -> None:
    asking = asyncio.create_task(traced.ask([*STREAMED[:-1], None], stream=True))
    await eventually(lambda: raw_upstream.requests)
    asking.cancel()
    await eventually(raw_upstream.left.is_set)
    call, request = await traced.spans()

    assert described(call)["gateway.outcome"] == "cancelled"
    assert (described(request)["error.type"], request.status.status_code) == ("499", StatusCode.UNSET)


async def test_the_parent_is_the_clients(traced: Traced, raw_upstream: RawUpstream) -> None:
    sent = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": f"x={CONTENT}"}
    await traced.ask(OK, headers=sent)
    call, request = await traced.spans()

    assert request.parent is not None
    assert (request.parent.trace_id, request.parent.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert call.context is not None
    assert call.context.trace_id == int(TRACE, 16)
    assert not call.context.trace_state
    assert b"traceparent" not in raw_upstream.requests[0].lower()
    assert TRACE.encode() not in raw_upstream.requests[0]


async def test_a_parent_that_was_not_sampled_is_obeyed(traced: Traced) -> None:
    await traced.ask(OK, headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})

    assert await traced.spans() == []


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01-{'x' * 600}",
    ],
)
async def test_a_malformed_parent_is_none(traced: Traced, header: str) -> None:
    assert await traced.ask(OK, headers={"traceparent": header}) == 200
    *_, request = await traced.spans()

    assert request.parent is None


@pytest.mark.parametrize("sampler", [ALWAYS_OFF])
async def test_a_request_that_is_not_sampled_makes_no_spans(traced: Traced) -> None:
    assert await traced.ask(OK) == 200

    assert await traced.spans() == []


async def test_spans_hold_nothing_that_the_client_sent(traced: Traced, tmp_path: Path) -> None:
    secret = {"user": CONTENT, "metadata": {CONTENT: CONTENT}, "stop": [CONTENT]}
    await traced.ask(OK, key=traced.pooled("a", tmp_path), **secret)
    await traced.ask(failing(b"400 Bad Request"), key=traced.key, **secret)
    await traced.post(f"/v1/{CONTENT}/chat/completions", OK, key=CONTENT, model=CONTENT)
    await traced.post(f"/{CONTENT}?key={CONTENT}", OK)
    await traced.post("/healthz", OK, method="PROPFIND")
    await traced.post(f"/v1beta/models/{CONTENT}:generateContent", failing(b"404 Not Found"))
    spans = await traced.spans()

    assert [span.name for span in spans if span.kind is SpanKind.SERVER] == [
        "POST /v1/chat/completions",
        "POST /v1/chat/completions",
        "POST /v1/chat/completions",
        "POST /{path}",
        "HTTP /{path}",
        "POST /{version}/{tail}",
    ]
    text = "".join(span.to_json() for span in spans).lower()
    for forbidden in (CONTENT, "propfind", traced.key.lower(), "aizasy", "test-key"):
        assert forbidden not in text


async def test_other_surfaces_have_their_own_operations(traced: Traced) -> None:
    vector = whole(json.dumps({"embeddings": [{"values": [1.0]}]}).encode())
    await traced.post("/v1/embeddings", vector, model="gemini-embedding-001", input="x")
    await traced.post("/v1/completions", OK, prompt="x")
    await traced.post(f"/v1beta/models/{MODEL}:generateContent", OK, contents=[])
    await traced.post(f"/v1beta/models/{MODEL}:generateContent", failing(b"400 Bad Request"))
    spans = await traced.spans()

    assert [(span.name, described(span).get("gen_ai.operation.name")) for span in spans] == [
        ("embeddings gemini-embedding-001", "embeddings"),
        ("POST /v1/embeddings", "embeddings"),
        (f"text_completion {MODEL}", "text_completion"),
        ("POST /v1/completions", "text_completion"),
        (f"call {MODEL}", None),
        ("POST /{version}/{tail}", None),
        ("call", None),
        ("POST /{version}/{tail}", None),
    ]
    assert (described(spans[-2])["gateway.outcome"], described(spans[-2])["http.response.status_code"]) == (
        "error",
        400,
    )
    assert described(spans[-1])["error.type"] == "400"


async def test_work_in_the_background_has_a_span_of_its_own(traced: Traced) -> None:
    parent = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    await traced.post("/v1/responses", STREAMED, headers=parent, input="x", background=True)
    await eventually(lambda: len(traced.exporter.get_finished_spans()) >= 3)
    by_kind = {span.kind: span for span in await traced.spans()}

    assert described(by_kind[SpanKind.SERVER])["gateway.attempts"] == 0
    assert described(by_kind[SpanKind.INTERNAL])["gateway.attempts"] == 1
    assert {span.context.trace_id for span in by_kind.values() if span.context} == {int(TRACE, 16)}
    inside = by_kind[SpanKind.CLIENT].parent
    assert inside is not None
    assert inside == by_kind[SpanKind.INTERNAL].context


async def test_the_last_spans_are_exported_at_the_end(
    serve: Serve,
    http: aiohttp.ClientSession,
    raw_upstream: RawUpstream,
    monkeypatch: pytest.MonkeyPatch,
    aiohttp_server: Any,
) -> None:
    got: list[tuple[str | None, ExportTraceServiceRequest]] = []

    async def collect(request: web.Request) -> web.Response:
        got.append(
            (request.headers.get("x-team"), ExportTraceServiceRequest.FromString(await request.read()))
        )
        return web.Response()

    collector = web.Application()
    collector.router.add_post("/v1/traces", collect)
    monkeypatch.setenv(
        "OTEL_EXPORTER_OTLP_ENDPOINT", str((await aiohttp_server(collector)).make_url("")).rstrip("/")
    )
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=blue")
    await Traced(serve, http, raw_upstream).ask(OK)
    await serve.stop()
    (team, sent), *_ = got

    resource = {
        attribute.key: attribute.value.string_value
        for attribute in sent.resource_spans[0].resource.attributes
    }
    names = [span.name for span in sent.resource_spans[0].scope_spans[0].spans]
    assert (team, resource["service.name"]) == ("blue", "gemini-gateway")
    assert sorted(names) == ["POST /v1/chat/completions", f"chat {MODEL}"]


async def test_a_collector_that_hangs_is_left_alone() -> None:
    hanging, provider = Event(), TracerProvider(shutdown_on_exit=False)
    provider.shutdown = hanging.wait  # type: ignore[method-assign, assignment]
    await Tracing(provider, timeout=0.01).close()

    assert not hanging.is_set()
    hanging.set()


async def test_tracing_that_cannot_begin_is_a_line_in_the_log(
    serve: Serve,
    http: aiohttp.ClientSession,
    raw_upstream: RawUpstream,
    event_lines: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")

    assert await Traced(serve, http, raw_upstream).ask(OK) == 200
    assert event_lines == [{"event": "traces", "message": "no traces: OTEL_TRACES_EXPORTER must be otlp"}]
