"""Server-sent events, both ways: bytes in any pieces to payloads, a payload to a frame.

Follows the event stream format of the HTML standard (section 9.2.6) and is liberal where servers are
(translation.md D.1): any line end, comments, a BOM, `data:` over several lines, a missing last blank line,
bare JSON without `data:`, and a whole JSON array where a stream was asked for.
"""

import msgspec

from gateway.errors import UpstreamError

MAX_EVENT = 32 * 1024 * 1024
"""Bytes of one unfinished event before we stop believing in it (robustness.md U22)."""

_BOM = b"\xef\xbb\xbf"
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])


class SSEDecoder:
    """Payloads of the events in a byte stream, the same ones for every cut of the input."""

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []  # of an unfinished line
        self._size = 0
        self._started = False
        self._bare_json = False  # the whole body is JSON, not a stream of events
        self._data: list[bytes] = []  # lines of an unfinished event
        self._bare: list[bytes] = []  # JSON lines without `data:`

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, give the payloads they complete. Raises UpstreamError when an event outgrows the limit."""
        self._size += len(data)
        if not self._started or self._bare_json or (b"\n" not in data and b"\r" not in data):
            self._pieces.append(data)
            self._check_size()
            if self._started or not self._start():
                return []
            data = b""
        if self._pieces:
            data = b"".join([*self._pieces, data])
        # A CR at the very end may be half of a CRLF: it waits for what follows.
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
        self._pieces = [data[end:]] if end < len(data) else []
        payloads = self._lines(data[:end])
        self._size = sum(map(len, (*self._pieces, *self._data, *self._bare)))
        self._check_size()
        return payloads

    def close(self) -> list[bytes]:
        """What the end of the input completes: an event without its blank line, or a JSON body."""
        rest = b"".join(self._pieces)
        self._pieces = []
        if self._bare_json:
            return _json_payloads(rest)
        return [*self._lines(rest), *self._lines(b"\n")]

    def _lines(self, text: bytes) -> list[bytes]:
        """The events that whole lines complete. bytes.splitlines knows the same three line ends as the standard."""
        if text.startswith(b"data: ") and text.endswith(b"\r\n\r\n") and not self._data and not self._bare:
            events = text[6:-4].split(b"\r\n\r\ndata: ")
            if (
                len(events) * 2 == text.count(b"\n") == text.count(b"\r")
            ):  # as Google sends them, one line each
                return events
        payloads: list[bytes] = []
        for line in text.splitlines():
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif not line:
                if self._data or self._bare:
                    payloads.append(b"\n".join(self._data or self._bare))
                    self._data, self._bare = [], []
            elif line[:1] in (b"{", b"[") or self._bare:
                self._bare.append(line)
        return payloads

    def _start(self) -> bool:
        """Drop a BOM and see what kind of body begins; false until that is known."""
        head = b"".join(self._pieces)
        if len(head) < len(_BOM) and _BOM.startswith(head):
            return False
        head = head.removeprefix(_BOM)
        self._pieces = [head]
        first = head.lstrip()[:1]
        self._started = bool(first)
        self._bare_json = first != b"" and first in b"[{"
        return self._started and not self._bare_json

    def _check_size(self) -> None:
        if self._size > self._limit:
            raise UpstreamError(
                f"an upstream event is larger than {self._limit} bytes", code="upstream_bad_response"
            )


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
