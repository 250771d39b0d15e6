"""Server-sent events: a decoder of byte streams, and an encoder of frames.

The decoder follows the HTML standard, section 9.2.6 (https://html.spec.whatwg.org/multipage/server-sent-events.html):
any line end, comments, a BOM, `data:` over several lines. It also takes what compatible servers send: a missing last
blank line, bare JSON without `data:`, and one JSON array in place of a stream.
"""

import msgspec

from gateway.errors import UpstreamError

MAX_EVENT = 32 * 1024 * 1024
"""The largest event, in bytes. An image of the answer is one event."""

_MOST_PIECES = 64
"""Pieces that are joined to a block. Blocks go back to the system when they are freed; small pieces may not."""
_LINE = 1
"""Bytes of a line end. They count, so that a stream of empty lines has an end."""
_BLANK = 64
"""Bytes that are kept of the blanks before a stream. They mean nothing."""
_CR, _LF = 13, 10
"""Line ends as numbers: bytes are searched for a number without a call, and without an exception inside."""
_BOM = b"\xef\xbb\xbf"
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])


class SSEDecoder:
    """Decoder of the events in a byte stream; every cut of the input gives the same payloads."""

    __slots__ = (
        "_bare", "_bare_json", "_blocks", "_data", "_limit", "_line_bytes", "_pieces", "_size", "_started",
    )  # fmt: skip

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []  # of an unfinished line
        self._blocks = 0  # so many of them are joined from others
        self._line_bytes = 0  # bytes of the lines of an unfinished event
        self._size = 0  # bytes of an unfinished event, its last line included
        self._started = False
        self._bare_json = False  # the body is JSON instead of events
        self._data: list[bytes] = []  # `data:` lines of an unfinished event
        self._bare: list[bytes] = []  # its lines without `data:`

    @property
    def waiting(self) -> int:
        """Bytes of an event that is not complete yet."""
        return self._size

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payloads that these bytes complete. Raises UpstreamError for an event over the limit."""
        if not self._size and len(data) <= self._limit and (events := _google_events(data)):
            self._started = True
            return events
        self._size += len(data)
        if not self._started or self._bare_json or (b"\n" not in data and b"\r" not in data):
            self._pieces.append(data)
            if len(self._pieces) - self._blocks >= _MOST_PIECES:
                self._pieces[self._blocks :] = [b"".join(self._pieces[self._blocks :])]
                self._blocks += 1
            self._check_size()
            if self._started or not self._start():
                return []
            data = b""
        if self._pieces:
            self._pieces.append(data)
            data = b"".join(self._pieces)
            self._pieces, self._blocks = [], 0
        # A CR at the end of the data may be half of a CRLF, so it is kept for the next call.
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
        self._pieces = [data[end:]] if end < len(data) else []
        payloads = self._payloads(data[:end])
        self._size = len(data) - end + self._line_bytes
        self._check_size()
        return payloads

    def close(self) -> list[bytes]:
        """Return the payloads that the end of the input completes: an event without a blank line, or a JSON body."""
        if not self._size:
            return []
        rest = b"".join(self._pieces)
        self._pieces = []
        if self._bare_json:
            return _json_payloads(rest)
        return [*self._payloads(rest), *self._payloads(b"\n")]

    def _payloads(self, text: bytes) -> list[bytes]:
        """Return the payloads that whole lines complete; bytes.splitlines knows the line ends of the standard."""
        if not self._data and not self._bare and (events := _google_events(text)):
            return events
        payloads: list[bytes] = []
        for line in text.splitlines():
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
                self._line_bytes += len(line) + _LINE
            elif not line:
                if self._data or self._bare:
                    payloads.append(b"\n".join(self._data or self._bare))
                    self._data, self._bare, self._line_bytes = [], [], 0
            elif line[:1] in (b"{", b"[") or self._bare:
                self._bare.append(line)
                self._line_bytes += len(line) + _LINE
        return payloads

    def _start(self) -> bool:
        """Remove a BOM and detect a JSON body. Return whether a stream of events has started."""
        head = b"".join(self._pieces)
        if len(head) < len(_BOM) and _BOM.startswith(head):
            return False
        head = head.removeprefix(_BOM)
        self._pieces = [head]
        first = head.lstrip()[:1]
        if not first:
            self._pieces, self._size = [head[-_BLANK:]], len(head[-_BLANK:])
        self._started = bool(first)
        self._bare_json = first != b"" and first in b"[{"
        return self._started and not self._bare_json

    def _check_size(self) -> None:
        if self._size > self._limit:
            raise UpstreamError(
                f"Gemini sent one event of more than {self._limit / 2**20:g} MiB, which the gateway does not relay."
                " Ask for less or smaller media.",
                code="upstream_bad_response",
            )


def _google_events(text: bytes) -> list[bytes]:
    """Return the payloads of whole events in the form that Google sends, one line for each; [] for any other text."""
    if text[:6] != b"data: " or text[-4:] != b"\r\n\r\n":
        return []
    text = text[6:-4]
    if _CR not in text:  # most reads are one event
        return [] if _LF in text else [text]
    events = text.split(b"\r\n\r\ndata: ")
    joined = b"".join(events)  # a search in it costs less than counts of line ends
    return [] if _LF in joined or _CR in joined else events


def _json_payloads(body: bytes) -> list[bytes]:
    """Return the elements of a JSON array, or the body itself if it is anything else."""
    body = body.strip()
    if not body.startswith(b"["):
        return [body] if body else []
    try:
        return [bytes(element) for element in _ELEMENTS.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [body]


def frame(data: bytes, event: str | None = None) -> bytes:
    """Return a payload as an event. Neither payload nor event name may contain a line end."""
    if event is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"


def comment(text: str) -> bytes:
    """Return a comment, which clients ignore; proxies see a live connection."""
    return b": " + text.encode() + b"\n\n"
