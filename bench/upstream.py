"""A Gemini that costs next to nothing: it answers each request with one write of prepared bytes. Argument: port."""

import asyncio
import sys
from typing import cast

_USAGE = '"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":%d,"totalTokenCount":%d}'
_NAMES = '"modelVersion":"gemini-2.5-flash","responseId":"Y2hhdC1iZW5jaA"'


def _message(text: str, count: int, finish: str) -> bytes:
    """Return an answer or a chunk; about 230 bytes with a short text."""
    candidate = f'{{"content":{{"parts":[{{"text":"{text}"}}],"role":"model"}},"index":0{finish}}}'
    return f'{{"candidates":[{candidate}],{_USAGE % (count, 12 + count)},{_NAMES}}}'.encode()


def _response(body: bytes, content_type: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n"
    return head.encode() + body + b"\r\n0\r\n\r\n"


_STOP = ',"finishReason":"STOP"'
UNARY = _response(_message("a few words of an answer, " * 19, 80, _STOP), "application/json; charset=UTF-8")
_EVENTS = (_message(f"word {i:03} of many", i, _STOP if i == 99 else "") for i in range(100))
STREAM = _response(b"".join(b"data: " + event + b"\r\n\r\n" for event in _EVENTS), "text/event-stream")


class Upstream(asyncio.Protocol):
    """HTTP/1.1 as far as it is needed: requests with Content-Length, also pipelined."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport is no subclass
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            start = head.find(b"content-length:")
            length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            self._transport.write(STREAM if b":streamgenerate" in head else UNARY)


async def serve(port: int) -> None:
    """Serve until terminated."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1])))
