"""Answers of Gemini's API: headers that are passed on, names of what was created, tokens that were used."""

import re
from collections.abc import Mapping

import msgspec
from multidict import CIMultiDict

from gateway.errors import GatewayError, scrub
from gateway.gemini.grounding import searches
from gateway.gemini.sse import SSEDecoder
from gateway.gemini.usage import TokenCounts, merge, token_counts
from gateway.gemini.wire import UsageMetadata, decode_response
from gateway.plugins.native.wire import decode_created
from gateway.policy.file_refs import is_name

UPLOAD_URL = "x-goog-upload-url"
STREAM = "text/event-stream"
_HEADERS = re.compile(
    r"content-type|x-goog-[a-z-]+|x-gemini-service-tier|retry-after|content-disposition", re.IGNORECASE
)
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""google.rpc.Code by HTTP status (https://cloud.google.com/apis/design/errors#handling_errors)."""


def returned(headers: Mapping[str, str], origin: str) -> CIMultiDict[str]:
    """Return the headers that the client is sent.

    An upload URL gets the gateway's `origin` (scheme and host), so that the upload continues through the gateway.
    """
    result = CIMultiDict({name: value for name, value in headers.items() if _HEADERS.fullmatch(name)})
    if UPLOAD_URL in result:
        result[UPLOAD_URL] = re.sub(r"^https?://[^/]+", origin, result[UPLOAD_URL])
    return result


def created(answer: bytes) -> tuple[list[str], TokenCounts]:
    """Return the names of what was created, and the tokens of a cached content."""
    try:
        message = decode_created(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [], TokenCounts()
    names = [name for name in (message.name, message.file.name) if is_name(name)]
    usage = UsageMetadata(prompt_token_count=max(0, message.usage_metadata.total_token_count))
    return names, token_counts(usage)


def render_error(error: GatewayError, _: str) -> tuple[int, bytes]:
    """Return an error as google.rpc.Status, as Google's SDKs expect it."""
    name = _STATUS.get(error.status, "INTERNAL")
    body = {"code": error.status, "message": scrub(error.message), "status": name}
    return error.status, msgspec.json.encode({"error": body})


class UsageReader:
    """Reader of the token counts in an answer that passes through, JSON or events.

    What it cannot read it ignores: the answer is the client's, whatever its form.
    """

    def __init__(self, content_type: str) -> None:
        self._decoder = SSEDecoder() if "json" in content_type or STREAM in content_type else None
        self._usage = UsageMetadata()
        self._grounding: list[msgspec.Raw] = []

    def feed(self, data: bytes) -> None:
        """Read a piece of the answer."""
        if self._decoder is not None:
            try:
                self._read(self._decoder.feed(data))
            except GatewayError:  # larger than any answer of text
                self._decoder = None

    def close(self) -> TokenCounts:
        """Return the tokens and searches that were read."""
        if self._decoder is not None:
            self._read(self._decoder.close())
        return token_counts(self._usage, searches(self._grounding))

    def _read(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            try:
                message = decode_response(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            candidates = message.candidates or ()
            self._grounding += [c.grounding_metadata for c in candidates if c.grounding_metadata]
            if message.usage_metadata is not None:
                self._usage = merge(self._usage, message.usage_metadata)
