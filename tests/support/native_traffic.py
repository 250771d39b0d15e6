"""Answers of Gemini's API in the form that Google gives them, byte by byte, and an upstream that replays any answer.

Google writes JSON in two columns, escapes `<`, `>`, `&`, `=` and `'`, ends with a line feed, and separates events with CRLF.
Who decodes and encodes such an answer changes its bytes.
"""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web
from msgspec import Struct

M = "gemini-2.5-flash"
JSON = "application/json; charset=UTF-8"
EVENTS = "text/event-stream"
HOP_BY_HOP = {
    "host",
    "user-agent",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-length",
    "transfer-encoding",
    "sec-fetch-mode",
}
"""Headers of a request that are of one connection, or that name the client's program to the next server."""
_ESCAPED = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&='"}
_SIGNATURE = f"{'Eq8DCqwDAb4+9vtsZ3JhbmQvc2lnbmF0dXJlLT8+' * 40}AA=="
_COUNTS = {"promptTokenCount": 7, "candidatesTokenCount": 12, "totalTokenCount": 19,
           "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}]}  # fmt: skip


class Recorded(Struct, frozen=True):
    """An answer: its body is sent in pieces of `cut` bytes by the upstream that replays it."""

    body: bytes
    content_type: str = JSON
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Received(Struct, frozen=True):
    """A request as it has arrived."""

    method: str
    path: str
    """With its query, as it was sent."""
    headers: dict[str, str]
    """By names in lower case."""
    body: bytes


def pretty(value: Any) -> bytes:
    """Return JSON as Google writes it."""
    return f"{_compact(value, 2)}\n".encode()


def _compact(value: Any, indent: int | None = None) -> str:
    separators = None if indent else (",", ": ")
    return json.dumps(value, indent=indent, ensure_ascii=False, separators=separators).translate(_ESCAPED)


def google(received: Received) -> Recorded:
    """Return the record that answers a request, as Google would by its path."""
    path, _, query = received.path.partition("?")
    name = path.partition("/v1")[2].partition("/")[2]
    record = next(record for pattern, record in _PATHS if re.fullmatch(pattern, f"{received.method} {name}"))
    if record == "stream" and "alt=sse" not in query:
        record = "array"
    if record == "interaction" and re.search(rb'"stream": ?true', received.body):
        record = "interaction events"
    return RECORDS[record]


def message(*parts: Any, finish: str | None = "STOP", **fields: Any) -> dict[str, Any]:
    """Return an answer, or a chunk of a stream, with one candidate."""
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    tail = {"usageMetadata": _COUNTS, "modelVersion": M, "responseId": "q0kAaZ_TIdu8qtsPq_3o4AU"}
    return {"candidates": [candidate], **tail, **fields}


CHUNKS = [
    message({"text": "<b>Zürich & Oslo</b> 'x' = "}, finish=None),
    message({"text": "**thinking**", "thought": True}, finish=None),
    message({"text": "😀 end"}, finish=None, aFieldOfTomorrow={"x": [1, 2.50, 1e-7, 123456789012345678901]}),
    message({"functionCall": {"name": "f", "args": {"a": "<>"}, "id": "c1"}, "thoughtSignature": _SIGNATURE}, finish=None),
    message({"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["q"]}, "id": "t1"}}, finish=None),
    message({"text": ""}),
]  # fmt: skip
INTERACTION = {
    "id": "v1_ChdxMGtBYVo", "object": "interaction", "model": M, "status": "completed", "role": "model",
    "created": "2026-11-26T09:00:00Z", "updated": "2026-11-26T09:00:01Z",
    "steps": [{"type": "model_output", "content": [{"type": "text", "text": "<hi> & 'bye'"}]}],
    "usage": {"total_tokens": 9, "total_input_tokens": 4, "total_output_tokens": 5, "total_thought_tokens": 0,
              "total_cached_tokens": 0, "total_tool_use_tokens": 0},
}  # fmt: skip
_BEGUN = {k: v for k, v in INTERACTION.items() if k not in ("steps", "usage")} | {"status": "in_progress"}
INTERACTION_EVENTS: list[dict[str, Any]] = [
    {"event_type": "interaction.created", "interaction": _BEGUN},
    {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
    {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "<hi> & 😀"}},
    {"event_type": "step.stop", "index": 0},
    {"event_type": "interaction.completed",
     "interaction": {k: v for k, v in INTERACTION.items() if k != "steps"}},
]  # fmt: skip
_FILE = {"name": "files/abc", "mimeType": "video/mp4", "sizeBytes": "9", "source": "GENERATED", "state": "ACTIVE",
         "createTime": "2026-11-26T09:00:00.123456Z", "uri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
         "downloadUri": "https://generativelanguage.googleapis.com/v1beta/files/abc:download?alt=media"}  # fmt: skip
_CACHE = {"name": "cachedContents/c1", "model": f"models/{M}", "displayName": "<x>", "usageMetadata": {"totalTokenCount": 2048},
          "createTime": "2026-11-26T09:00:00.123456789Z", "expireTime": "2026-11-26T10:00:00Z"}  # fmt: skip
_BATCH = {
    "name": "batches/b1",
    "metadata": {"@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch", "name": "batches/b1",
                 "model": f"models/{M}", "displayName": "a & b", "state": "BATCH_STATE_SUCCEEDED", "createTime": "2026-11-26T09:00:00Z",
                 "batchStats": {"requestCount": "2", "successfulRequestCount": "2"},
                 "output": {"inlinedResponses": {"inlinedResponses": [{"response": message({"text": "<1>"}), "metadata": {"k": "v"}}]}}},
    "done": True, "response": {"inlinedResponses": {"inlinedResponses": [{"response": message({"text": "<1>"})}]}},
}  # fmt: skip
_OPERATION = {"name": "models/veo-3.1-generate-preview/operations/o1", "done": True, "response": {
    "@type": "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse",
    "generateVideoResponse": {"generatedSamples": [{"video": {"uri": _FILE["downloadUri"]}}]}}}  # fmt: skip
_QUOTA = {"error": {
    "code": 429, "message": "You exceeded your current quota, <see> https://ai.google.dev & more.", "status": "RESOURCE_EXHAUSTED",
    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}]}}  # fmt: skip


def events(values: list[Any], end: str = "\r\n\r\n") -> bytes:
    """Return a stream of server-sent events."""
    return "".join(f"data: {_compact(value)}{end}" for value in values).encode()


def _interaction_stream() -> bytes:
    """Return the stream of an interaction, each event with its name."""
    named = [f"event: {event['event_type']}\ndata: {_compact(event)}\n\n" for event in INTERACTION_EVENTS]
    return "".join([*named, "event: done\ndata: [DONE]\n\n"]).encode()


RECORDS: dict[str, Recorded] = {
    "unary": Recorded(pretty(message({"text": "<b>Zürich & Oslo</b> 'x' = 😀"}, aFieldOfTomorrow=[1.50])),
                      headers=(("server-timing", "gfet4t7; dur=74"), ("x-gemini-service-tier", "standard"))),
    "call": Recorded(pretty(message({"functionCall": {"name": "f", "args": {"a": 1.0}}, "thoughtSignature": _SIGNATURE}))),
    "stream": Recorded(events(CHUNKS), EVENTS),
    "stream without its last blank line": Recorded(events(CHUNKS).rstrip() + b"\n", EVENTS),
    "array": Recorded(b"[" + b",\r\n".join(pretty(chunk).strip() for chunk in CHUNKS) + b"\n]\n"),
    "count": Recorded(pretty({"totalTokens": 7, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}]})),
    "embedding": Recorded(pretty({"embedding": {"values": [-0.010632273, 0]}, "embeddings": [{"values": [0.5, 1]}]}).replace(b"0.5", b"5.0E-1")),
    "models": Recorded(pretty({"models": [{"name": f"models/{M}", "displayName": "<&>"}]})),
    "model": Recorded(pretty({"name": f"models/{M}", "displayName": "<&>", "inputTokenLimit": 1048576})),
    "file": Recorded(pretty(_FILE)),
    "files": Recorded(pretty({"files": [_FILE]})),
    "uploaded": Recorded(pretty({"file": _FILE}), headers=(("x-goog-upload-status", "final"),)),
    "bytes": Recorded(bytes(range(256)) * 40, "video/mp4", headers=(("content-disposition", "attachment"),)),
    "cache": Recorded(pretty(_CACHE)),
    "caches": Recorded(pretty({"cachedContents": [_CACHE]})),
    "batch": Recorded(pretty(_BATCH)),
    "batches": Recorded(pretty({"operations": [_BATCH]})),
    "operation": Recorded(pretty(_OPERATION)),
    "interaction": Recorded(pretty(INTERACTION)),
    "interaction events": Recorded(_interaction_stream(), EVENTS),
    "token": Recorded(pretty({"name": "auth_tokens/0123abcd"})),
    "store": Recorded(pretty({"name": "fileSearchStores/s1", "displayName": "<s>"})),
    "empty": Recorded(b"{}\n"),
    "quota": Recorded(pretty(_QUOTA), status=429, headers=(("retry-after", "35"),)),
    "quota of a stream": Recorded(b"[" + pretty(_QUOTA).strip() + b"\n]\n", status=429),
}  # fmt: skip
"""Answers by a name of what they are."""


_PATHS = (
    (r"POST models/[^:]+:generateContent", "unary"), (r"POST models/[^:]+:streamGenerateContent", "stream"),
    (r"POST models/[^:]+:countTokens", "count"), (r"POST models/[^:]+:\w*[eE]mbedContents?", "embedding"),
    (r"POST models/[^:]+:(batchGenerateContent|asyncBatchEmbedContent)", "batch"),
    (r"(POST models/[^:]+:predictLongRunning|GET .*operations/.*)", "operation"),
    (r"GET models", "models"), (r"GET models/.*", "model"), (r"GET files/[^/]+:download", "bytes"),
    (r"GET files/.*", "file"), (r"GET files", "files"), (r"POST files", "uploaded"),
    (r"(POST cachedContents|(GET|PATCH) cachedContents/.*)", "cache"), (r"GET cachedContents", "caches"),
    (r"GET batches", "batches"), (r"GET batches/.*", "batch"), (r"(POST interactions|GET interactions/.*|POST interactions/.*)", "interaction"),
    (r"POST auth_tokens", "token"), (r"(POST fileSearchStores|GET fileSearchStores/.*)", "store"), (r".*", "empty"),
)  # fmt: skip
"""Method and path below the version, and the record that answers it; the first that matches."""


class Replaying:
    """An upstream that notes each request and answers with recorded bytes, in pieces of `cut` bytes; 0 is one piece."""

    def __init__(self, choose: Callable[[Received], Recorded]) -> None:
        self.choose = choose
        self.cut = 0
        self.received: list[Received] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.method, request.raw_path, headers, await request.read())
        self.received.append(received)
        recorded = self._upload(request) or self.choose(received)
        response = web.StreamResponse(status=recorded.status, headers=dict(recorded.headers))
        response.headers["Content-Type"] = recorded.content_type
        await response.prepare(request)
        size = self.cut or len(recorded.body) or 1
        for start in range(0, len(recorded.body), size):
            await response.write(recorded.body[start : start + size])
            await asyncio.sleep(0)
        await response.write_eof()
        return response

    def _upload(self, request: web.Request) -> Recorded | None:
        """Return the answer to the start or a piece of a resumable upload (https://ai.google.dev/api/files)."""
        command = request.headers.get("x-goog-upload-command", "")
        if command == "start":
            url = request.url.with_query(upload_id="u1", upload_protocol="resumable")
            return Recorded(
                b"",
                "text/plain",
                headers=(("x-goog-upload-url", str(url)), ("x-goog-upload-status", "active")),
            )
        if command == "upload":
            return Recorded(b"", "text/plain", headers=(("x-goog-upload-status", "active"),))
        return None
