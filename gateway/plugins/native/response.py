"""Answers of Gemini's API: headers that are passed on, names of created objects, tokens that were used."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

import msgspec
from multidict import CIMultiDict

from gateway.errors import GatewayError, scrub
from gateway.gemini.errors import from_status
from gateway.gemini.grounding import tool_uses
from gateway.gemini.sse import SSEDecoder
from gateway.gemini.usage import NO_USAGE, TokenCounts, is_whole, merge, token_counts
from gateway.gemini.wire import GenerateContentResponse, UsageMetadata, decode_response
from gateway.plugins.native.wire import decode_created
from gateway.policy.file_refs import is_name

UPLOAD_URL = "x-goog-upload-url"
STREAM = "text/event-stream"
_HEADERS = re.compile(
    r"content-type|x-goog-[a-z0-9-]+|x-gemini-service-tier|retry-after|content-disposition|content-range"
    r"|accept-ranges|api-revision",
    re.IGNORECASE,
)
_KEYS = ("key", "$key")
_GOOGLES_HOST = re.compile(r"(?:https?:)?//generativelanguage\.googleapis\.com(?::443)?(?=/)", re.IGNORECASE)
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "UNAVAILABLE",
    409: "ABORTED",
    410: "NOT_FOUND",
    412: "FAILED_PRECONDITION",
    416: "OUT_OF_RANGE",
    426: "FAILED_PRECONDITION",
    428: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""google.rpc.Code by HTTP status (https://google.aip.dev/193, https://cloud.google.com/apis/design/errors).

Google's table has no 405, 408, 410, 412, 416, 426 and 428. Their names follow the comments of google/rpc/code.proto,
where UNIMPLEMENTED is an operation that the service does not support. 408, 410, 412 and 416 are as Google's C++ client
reads them (googleapis/google-cloud-cpp, google/cloud/internal/rest_response.cc).
"""


def returned(headers: Mapping[str, str], origin: str) -> CIMultiDict[str]:
    """Return the headers that the client is sent.

    An upload URL gets the gateway's `origin` (scheme and host), so that the upload continues through the gateway.
    """
    result = CIMultiDict({name: value for name, value in headers.items() if _HEADERS.fullmatch(name)})
    if UPLOAD_URL in result:
        result[UPLOAD_URL] = re.sub(r"^https?://[^/]+", lambda _: origin, result[UPLOAD_URL])
    return result


def redirected(location: str, upstream: str, origin: str, key: str) -> str:
    """Return the address that a redirect of Google's sends a client to, through the gateway, or "" for another host.

    `files.download` is a redirect to `/download/…` (https://ai.google.dev/api/files), whose key only the gateway has.
    `upstream` is the base URL of Google's API. The `key` of the call, which may be the pool's, is left out.
    """
    path = _GOOGLES_HOST.sub("", location, count=1).removeprefix(upstream.rstrip("/"))
    if not path.startswith("/") or path.startswith("//"):
        return ""
    before, _, query = path.partition("?")
    kept = [
        (k, v)
        for k, v in parse_qsl(query, keep_blank_values=True)
        if k not in _KEYS and scrub(v) == v and key not in v
    ]
    return f"{origin}{before}" + (f"?{urlencode(kept)}" if kept else "")


def created(answer: bytes) -> tuple[list[str], TokenCounts]:
    """Return the names of created objects, and the tokens of a cached content."""
    try:
        message = decode_created(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [], TokenCounts()
    names = [name for name in (message.name, message.file.name) if is_name(name)]
    usage = UsageMetadata(prompt_token_count=max(0, message.usage_metadata.total_token_count))
    return names, token_counts(usage)


def render_error(error: GatewayError, _: str) -> tuple[int, bytes]:
    """Return an error as google.rpc.Status, as Google's SDKs expect it."""
    name = _STATUS.get(error.status) or ("INVALID_ARGUMENT" if 400 <= error.status < 500 else "INTERNAL")
    body = {"code": error.status, "message": scrub(error.message), "status": name}
    return error.status, msgspec.json.encode({"error": body})


class UsageReader:
    """Reader of the token counts in an answer that passes through, JSON or events.

    What it cannot read it ignores: the answer is the client's, whatever its form. `candidates` were asked for; an
    answer of embeddings has 0.
    """

    def __init__(self, content_type: str, candidates: int = 1) -> None:
        self._decoder = SSEDecoder() if "json" in content_type or STREAM in content_type else None
        self._usage = NO_USAGE
        self._grounding: list[msgspec.Raw] = []
        self._candidates = candidates
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self._blocked = False
        self._ends_counted = False
        """The last message had counts."""
        self._readable = self._decoder is not None
        self._complete = False
        self.failure: GatewayError | None = None
        """The error that Google has sent inside the answer."""
        self.version: str | None = None
        """`modelVersion` of the answer."""

    def feed(self, data: bytes) -> None:
        """Read a piece of the answer."""
        if self._decoder is not None:
            try:
                self._read(self._decoder.feed(data))
            except GatewayError:  # larger than any answer of text
                self._decoder, self._readable = None, False

    def close(self) -> TokenCounts:
        """Return the tokens and searches of an answer that was read to its end."""
        self._complete = True
        if self._decoder is not None:
            self._read(self._decoder.close())
        return self.counts

    @property
    def counts(self) -> TokenCounts:
        """Tokens and searches that were read."""
        return token_counts(self._usage, *tool_uses(self._grounding))

    @property
    def tier(self) -> str | int | None:
        """The tier of service that Google names."""
        return self._usage.service_tier

    @property
    def is_counted(self) -> bool:
        """Whether `counts` are those of the whole answer."""
        if not (self._readable and self._ends_counted):
            return False
        if not self._candidates:
            return self._complete and self._usage.prompt_token_count is not None
        if not is_whole(self._usage):
            return False
        if self._blocked:
            return True
        all_begun = self._complete or len(self._begun) >= self._candidates
        return all_begun and bool(self._begun) and self._finished >= self._begun

    @property
    def is_unfinished(self) -> bool:
        """Whether a candidate has begun without a finish reason: the answer is incomplete, however it ended."""
        return self._readable and not self._blocked and not self._begun <= self._finished

    def _read(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            try:
                message = decode_response(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._readable = False
                continue
            if message.error is not None:
                self._readable = False
                self.failure = self.failure or from_status(message.error.code, message.error)
            self._note_ends(message)
            self.version = message.model_version or self.version
            candidates = message.candidates or ()
            self._grounding += [c.grounding_metadata for c in candidates if c.grounding_metadata]
            if message.usage_metadata is not None:
                self._usage = merge(self._usage, message.usage_metadata)

    def _note_ends(self, message: GenerateContentResponse) -> None:
        self._ends_counted = message.usage_metadata is not None
        self._blocked = self._blocked or (
            message.prompt_feedback is not None and bool(message.prompt_feedback.block_reason)
        )
        for position, candidate in enumerate(message.candidates or ()):
            index = position if candidate.index is None else candidate.index
            self._begun.add(index)
            if candidate.finish_reason is not None:
                self._finished.add(index)
