"""Server-sent events, both ways: bytes in any pieces to payloads, a payload to a frame.

Follows the event stream format of the HTML standard (section 9.2.6) and is liberal where servers are
(translation.md D.1): any line end, comments, a BOM, `data:` over several lines, a missing last blank line,
bare JSON without `data:`, and a whole JSON array where a stream was asked for.
"""

import re

import msgspec

from gateway.errors import UpstreamError

MAX_EVENT = 32 * 1024 * 1024
"""Bytes of one unfinished event before we stop believing in it (robustness.md U22)."""

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_LONGEST_BLANK_LINE = 4


class SSEDecoder:
    """Payloads of the events in a byte stream, the same ones for every cut of the input."""

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._scanned = 0  # no event ends before this offset
        self._started = False
        self._bare_json = False  # the whole body is JSON, not a stream of events

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, give the payloads they complete. Raises UpstreamError when an event outgrows the limit."""
        buffer = self._buffer
        buffer += data
        if not self._started and not self._start():
            return []
        payloads: list[bytes] = []
        start = 0
        if not self._bare_json:
            position = self._scanned
            while found := _BLANK_LINE.search(buffer, position):
                payload = _payload(bytes(buffer[start : found.start()]))
                if payload:
                    payloads.append(payload)
                start = position = found.end()
            del buffer[:start]
            # A blank line may straddle two reads: look again at its possible beginning.
            self._scanned = max(0, len(buffer) - _LONGEST_BLANK_LINE)
        if len(buffer) > self._limit:
            raise UpstreamError(
                f"an upstream event is larger than {self._limit} bytes", code="upstream_bad_response"
            )
        return payloads

    def close(self) -> list[bytes]:
        """What the end of the input completes: an event without its blank line, or a JSON body."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        if self._bare_json:
            return _json_payloads(rest)
        payload = _payload(rest)
        return [payload] if payload else []

    def _start(self) -> bool:
        """Drop a BOM and see what kind of body begins; false until that is known."""
        buffer = self._buffer
        if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
            return False
        if buffer.startswith(_BOM):
            del buffer[: len(_BOM)]
        first = buffer.lstrip()[:1]
        if not first:
            return False
        self._started = True
        self._bare_json = first in b"[{"
        return True


def _payload(block: bytes) -> bytes:
    """The data of one event block, or b"" when it has none."""
    block = block.lstrip(b"\r\n")
    if block.startswith(b"data:") and b"\n" not in block and b"\r" not in block:
        return block[5:].strip()
    lines = _LINE_END.split(block)
    data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    if data:
        return b"\n".join(data)
    bare = block.strip()
    return bare if bare[:1] in (b"{", b"[") else b""


def _json_payloads(body: bytes) -> list[bytes]:
    """The elements of a JSON array, or the body itself when it is anything else."""
    body = body.strip()
    if not body.startswith(b"["):
        return [body] if body else []
    try:
        return [bytes(element) for element in _ELEMENTS.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [body]


def frame(data: bytes, event: str | None = None) -> bytes:
    """One event around a payload without line ends; `event` is one of our own names, never a client's."""
    if event is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"


def comment(text: str) -> bytes:
    """A line that clients ignore, which keeps connections alive (translation.md D.9)."""
    return b": " + text.encode() + b"\n\n"
