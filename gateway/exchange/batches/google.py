"""Batches at Google: requests and answers of its API (https://ai.google.dev/api/batch-api).

One request is `{"key", "request"}` in a file, and `{"request", "metadata": {"key"}}` inline. Answers repeat the key.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.errors import GatewayError, UpstreamError
from gateway.gemini.errors import from_status
from gateway.gemini.wire import ErrorStatus
from gateway.policy.clients.kept_batches import Part

INLINE = 20_000_000
"""Bytes of a call's body below which its requests are sent inline (https://ai.google.dev/gemini-api/docs/batch-api)."""
_ENDED = ("SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")
_PREFIXES = ("BATCH_STATE_", "JOB_STATE_")
_KEY, _REQUEST = b'{"key":"', b'","request":'
CANCELLED = 499
"""Status of the error (`CANCELLED`) that Google gives to each unanswered request of a batch that was cancelled."""
_STATUSES = {1: CANCELLED, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501,
             13: 500, 14: 503, 15: 500, 16: 401}  # fmt: skip
"""HTTP status by google.rpc.Code (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto)."""


class _Message(Struct, rename="camel"):
    pass


class Stats(_Message):
    """Counts of a batch's requests. They are 64-bit integers, which JSON has as texts."""

    request_count: int = 0
    successful_request_count: int = 0
    failed_request_count: int = 0


class _Inlined(_Message):
    inlined_responses: list[Raw] = []


class Output(_Message):
    """The answers of a batch: inline, or the name of a file."""

    inlined_responses: _Inlined | None = None
    responses_file: str = ""


class _Metadata(_Message):
    state: str = ""
    display_name: str = ""
    batch_stats: Stats = msgspec.field(default_factory=Stats)
    output: Output | None = None


class GoogleBatch(_Message):
    """A batch, as an operation."""

    name: str = ""
    done: bool = False
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    response: Output | None = None
    error: ErrorStatus | None = None

    @property
    def state(self) -> str:
        """The state without its prefix; "" for a batch that goes on, and for a state that is not known."""
        state = self.metadata.state
        for prefix in _PREFIXES:
            state = state.removeprefix(prefix)
        if state in _ENDED:
            return state
        if not self.done:
            return ""
        return "FAILED" if self.error is not None else "SUCCEEDED"

    @property
    def output(self) -> Output:
        """The answers."""
        for output in (self.metadata.output, self.response):
            if output is not None and (output.responses_file or output.inlined_responses is not None):
                return output
        return Output()

    def forget_answers(self) -> None:
        """Drop inline answers, which are views of the data that was read."""
        for output in (self.metadata.output, self.response):
            if output is not None:
                output.inlined_responses = None


class _Page(_Message):
    operations: list[GoogleBatch] = []
    next_page_token: str = ""


class AnswerLine(Struct):
    """One answer: a response, or an error under either of its names."""

    key: str = ""
    metadata: dict[str, Any] | None = None
    response: Raw = Raw()
    error: Raw = Raw()
    status: Raw = Raw()

    @property
    def name(self) -> str:
        """The key of the request."""
        return self.key or str((self.metadata or {}).get("key", ""))


_decode_batch = msgspec.json.Decoder(GoogleBatch, strict=False).decode
_decode_page = msgspec.json.Decoder(_Page, strict=False).decode
_decode_line = msgspec.json.Decoder(AnswerLine).decode
_decode_status = msgspec.json.Decoder(ErrorStatus).decode
_encode = msgspec.json.Encoder().encode


def request_line(key: str, request: bytes) -> bytes:
    """Return one request as a line of a file. `key` needs no quoting."""
    return b"%s%s%s%s}\n" % (_KEY, key.encode(), _REQUEST, request)


def requests(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield key and request of each line that `request_line` has written. Blocks."""
    with path.open("rb") as file:
        for line in file:
            key, _, request = line[len(_KEY) :].partition(_REQUEST)
            yield key.decode(), request[:-2]


def inline_body(part: Part, path: Path) -> bytes:
    """Return the body that creates a batch of inline requests. Blocks."""
    listed = b",".join(
        b'{"request":%s,"metadata":{"key":"%s"}}' % (request, key.encode()) for key, request in requests(path)
    )
    name = _encode(part.id)
    return b'{"batch":{"displayName":%s,"inputConfig":{"requests":{"requests":[%s]}}}}' % (name, listed)


def file_body(part: Part) -> bytes:
    """Return the body that creates a batch of the requests in an uploaded file."""
    return _encode({"batch": {"displayName": part.id, "inputConfig": {"fileName": part.upload}}})


def read_batch(data: bytes | mmap.mmap) -> GoogleBatch:
    """Return a batch. Raises UpstreamError for unreadable JSON."""
    try:
        return _decode_batch(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise unreadable() from None


def read_page(data: bytes) -> tuple[list[GoogleBatch], str]:
    """Return the batches of a page of a list, and the token of the next page. Raises UpstreamError."""
    try:
        page = _decode_page(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise unreadable() from None
    return page.operations, page.next_page_token


def read_line(data: bytes | Raw) -> AnswerLine | None:
    """Return an answer; None for unreadable JSON."""
    try:
        return _decode_line(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def line_error(data: bytes) -> GatewayError:
    """Return the error of a line, from a google.rpc.Status."""
    try:
        status = _decode_status(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        status = ErrorStatus()
    code = status.code if status.code >= 400 else _STATUSES.get(status.code, 500)
    error = from_status(code, status)
    if code >= 500:
        return GatewayError(error.message, status=code)
    error.status = code
    return error


def unreadable() -> UpstreamError:
    """Return the error for an answer about a batch that is none."""
    return UpstreamError("Google's answer about a batch cannot be read.", code="upstream_bad_response")
