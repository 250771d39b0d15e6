"""A Gemini that costs next to nothing: it answers each request with prepared bytes. Argument: port.

A stream is a hundred events, each an HTTP chunk of its own as Google's server sends them, in one write. A request whose
text says `pace=4 events=100` gets that many events, one every 4 milliseconds; with `events=0` until the client leaves.
"""

import asyncio
import re
import sys
from typing import cast

_USAGE = '"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":%d,"totalTokenCount":%d}'
_NAMES = '"modelVersion":"gemini-2.5-flash","responseId":"Y2hhdC1iZW5jaA"'
_STOP = ',"finishReason":"STOP"'
_LAST_CHUNK = b"0\r\n\r\n"
_PACE = re.compile(rb"pace=(\d+) events=(\d+)")


def _message(part: str, count: int, finish: str) -> bytes:
    """Return an answer or a chunk; about 230 bytes with a short text."""
    candidate = f'{{"content":{{"parts":[{part}],"role":"model"}},"index":0{finish}}}'
    return f'{{"candidates":[{candidate}],{_USAGE % (count, 12 + count)},{_NAMES}}}'.encode()


def _text(text: str, count: int, finish: str = _STOP) -> bytes:
    return _message(f'{{"text":"{text}"}}', count, finish)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(headers: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {headers}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def _event(number: int, finish: str = "") -> bytes:
    return _chunk(b"data: " + _text(f"word {number:03} of many", number, finish) + b"\r\n\r\n")


def _whole(body: bytes) -> bytes:
    return _head("application/json; charset=UTF-8") + _chunk(body) + _LAST_CHUNK


UNARY = _whole(_text("a few words of an answer, " * 19, 80))
CALL = _whole(_message('{"functionCall":{"name":"weather","args":{"city":"Paris","days":3}}}', 12, _STOP))
STRUCTURED = _whole(_text(r"{\"city\":\"Paris\",\"celsius\":21}", 12))
_EVENTS = [_event(i) for i in range(99)]
STREAM = _head("text/event-stream") + b"".join(_EVENTS) + _event(99, _STOP) + _LAST_CHUNK
# nginx holds an answer back until its buffers are full, unless this header says otherwise
_LIVE = _head("text/event-stream\r\nX-Accel-Buffering: no")


def answer(head: bytes, body: bytes) -> bytes:
    """Return the whole response to a request, of which the head is in lower case."""
    if b":streamgenerate" in head:
        return STREAM
    if b"functionDeclarations" in body:
        return CALL
    return STRUCTURED if b'"application/json"' in body else UNARY


class Upstream(asyncio.Protocol):
    """HTTP/1.1 as far as it is needed: requests with Content-Length, also pipelined."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport is no subclass
        self._loop = asyncio.get_running_loop()
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            start = head.find(b"content-length:")
            length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            if len(self._data) < end + 4 + length:
                return
            body = self._data[end + 4 : end + 4 + length]
            self._data = self._data[end + 4 + length :]
            if b"pace=" in body and (pace := _PACE.search(body)) is not None:
                self._transport.write(_LIVE)
                self._write_event(int(pace[1]) / 1000, 0, int(pace[2]))
            else:
                self._transport.write(answer(head, body))

    def _write_event(self, pace: float, number: int, events: int) -> None:
        """Write an event, and the next one a pace of seconds later."""
        if self._transport.is_closing():
            return
        if number == events - 1:
            self._transport.write(_event(number, _STOP) + _LAST_CHUNK)
            return
        self._transport.write(_EVENTS[number % 99])
        self._loop.call_later(pace, self._write_event, pace, number + 1, events)


async def serve(port: int) -> None:
    """Serve until terminated."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1])))
