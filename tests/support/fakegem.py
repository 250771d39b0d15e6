"""`FakeGem`: an upstream of raw sockets that answers as Gemini does, until a test queues the fault that it wants.

A script is a list of steps for one request: bytes to write, None to wait until the gateway leaves, or a function of the
connection, such as `reset`, `close` and `until(event)`. After its last step the connection is kept for the next request.
"""

import asyncio
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from tests.support.servers import read_request


class Connection:
    """One connection of the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.requests = 0
        """Requests that it carried."""
        self.busy = False

    async def run(self, steps: "Sequence[Step]") -> None:
        """Carry out the steps for one request."""
        for step in steps:
            if step is None:
                await self.reader.read()
            elif isinstance(step, bytes):
                self.writer.write(step)
                await self.writer.drain()
            else:
                await step(self)

    def end(self) -> None:
        """Close it, with what was written."""
        self.writer.close()


Step = bytes | None | Callable[[Connection], Awaitable[None]]
Script = Sequence[Step] | Callable[[bytes], Sequence[Step]]
"""Steps, or a function from the request to them."""


async def reset(connection: Connection) -> None:
    """Reset the connection (RST), after what was written has arrived."""
    await connection.writer.drain()
    own: socket.socket = connection.writer.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.writer.transport.abort()


async def close(connection: Connection) -> None:
    """Close the connection (FIN)."""
    connection.end()


def until(event: asyncio.Event) -> Step:
    """Return a step that waits for an event of the test."""

    async def wait(_: Connection) -> None:
        await event.wait()

    return wait


def pause(seconds: float) -> Step:
    """Return a step that takes a time, for a fault that is one of time."""

    async def wait(_: Connection) -> None:
        await asyncio.sleep(seconds)

    return wait


class FakeGem:
    """An upstream on a port of its own, which it keeps when it is stopped and started again."""

    def __init__(self) -> None:
        self.queue: deque[Script] = deque()
        """Scripts for the next requests, one each; then `always`."""
        self.always: Script = good
        self.requests: list[bytes] = []
        """Head and body of each request."""
        self.connections: list[Connection] = []
        """All of them, also those that have ended."""
        self.current: Connection
        """The connection of the last request."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._held: list[socket.socket] = []
        self.tls: ssl.SSLContext | None = None
        """How it listens once it is healed."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Base URL for the gateway."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        """Listen, with TLS if there is a context."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on, and end those that are open."""
        for held in self._held:
            held.close()
        self._held.clear()
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        for connection in self.connections:
            connection.writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def swallow(self) -> None:
        """Answer no connection from now on (a black hole): the queue of the listening socket is full."""
        await self.stop()
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(0)
        self._held.append(listening)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._held.append(filler)

    async def heal(self) -> None:
        """Answer well from now on."""
        self.queue.clear()
        self.always = good
        if self._server is None:
            await self.stop()
            await self.start(self.tls)

    def end_idle(self) -> None:
        """Close the connections that wait for a request."""
        for connection in self.connections:
            if not connection.busy:
                connection.end()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        self.connections.append(connection)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while not writer.is_closing():
                request = await read_request(reader)
                self.requests.append(request)
                connection.requests += 1
                connection.busy = True
                self.current = connection
                script = self.queue.popleft() if self.queue else self.always
                await connection.run(script(request) if callable(script) else script)
                connection.busy = False
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            connection.busy = False
            writer.close()


COUNTS = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}


def message(text: str | None = "fine", reason: str | None = "STOP", **fields: object) -> dict[str, object]:
    """Return a message of Gemini with one candidate."""
    candidate: dict[str, object] = {"index": 0}
    if text is not None:
        candidate["content"] = {"role": "model", "parts": [{"text": text}]}
    if reason is not None:
        candidate["finishReason"] = reason
    return {
        "candidates": [candidate], "usageMetadata": COUNTS, "modelVersion": "gemini-2.5-flash", "responseId": "r",
        **fields,
    }  # fmt: skip


def event(payload: object) -> bytes:
    """Return a message as Google frames it in a stream."""
    return b"data: " + json.dumps(payload).encode() + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Return a chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def head(status: str = "200 OK", **headers: object) -> bytes:
    """Return the head of a response; `content_type` is Content-Type."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def whole(payload: object, status: str = "200 OK", content_type: str = "application/json") -> list[Step]:
    """Return a complete answer with its length; the payload is bytes, or an object for JSON."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return [head(status, content_type=content_type, content_length=len(body)) + body]


STREAM_HEAD = head(content_type="text/event-stream", transfer_encoding="chunked")


def stream(*payloads: object) -> list[Step]:
    """Return a stream of messages, whose end is still to come; bytes stand for themselves."""
    events = [payload if isinstance(payload, bytes) else event(payload) for payload in payloads]
    return [STREAM_HEAD, *map(chunk, events)]


def good(request: bytes) -> list[Step]:
    """Return the answer "fine", streamed in three events if the request asks for a stream."""
    if b":streamGenerateContent" in request.partition(b"\r\n")[0]:
        return [*stream(message("fi", None), message("n", None), message("e")), LAST_CHUNK]
    return whole(message())


def either(unary: Sequence[Step], streamed: Sequence[Step]) -> Script:
    """Return a script that depends on what the request asks for."""
    return lambda request: streamed if b":streamGenerateContent" in request.partition(b"\r\n")[0] else unary


def refusal(status: int, reason: str, text: str = "no", **details: object) -> list[Step]:
    """Return an error as Google answers it."""
    error: dict[str, object] = {"code": status, "message": text, "status": reason}
    if details:
        error["details"] = [
            {
                "@type": f"type.googleapis.com/google.rpc.{kind}",
                **(fields if isinstance(fields, dict) else {}),
            }
            for kind, fields in details.items()
        ]
    return whole({"error": error}, f"{status} No")
