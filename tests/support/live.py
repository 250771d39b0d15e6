"""Both sides of the Live API, as plain WebSockets."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

M = "gemini-3.8-live"
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
SETUP: dict[str, Any] = {"setup": {"model": f"models/{M}"}}


@asynccontextmanager
async def connected(
    base: str, key: str = "k", path: str = PATH, **options: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A connection with a key in the header that Google's SDK uses."""
    headers = {"x-goog-api-key": key, **options.pop("headers", {})}
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(base + path, headers=headers, max_msg_size=2**26, **options)
        async with socket:
            yield socket


async def setup(socket: aiohttp.ClientWebSocketResponse, **fields: Any) -> dict[str, Any]:
    """Send the first message, and return the answer."""
    await socket.send_json({"setup": {**SETUP["setup"], **fields}})
    message = await socket.receive(timeout=10)
    assert message.type is WSMsgType.BINARY, message
    answer: dict[str, Any] = json.loads(message.data)
    assert "setupComplete" in answer
    return answer


async def received(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    """Return the messages of a turn, to its end."""
    messages: list[dict[str, Any]] = []
    while not messages or not messages[-1].get("serverContent", {}).get("turnComplete"):
        messages.append(json.loads(await socket.receive_bytes(timeout=10)))
    return messages


async def closed(socket: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str]:
    """Return code and reason of the close frame, after any other messages."""
    while True:
        message = await socket.receive(timeout=10)
        if message.type is WSMsgType.CLOSE:
            return message.data, message.extra or ""
        assert message.type in (WSMsgType.BINARY, WSMsgType.TEXT), message


Serve = Callable[[web.WebSocketResponse], Awaitable[None]]
DONE = {"serverContent": {"turnComplete": True}}


def turn(prompt: int = 100, answer: int = 20, **usage: Any) -> dict[str, Any]:
    """The last message of a turn of sound, with its counts."""
    counts = {
        "promptTokenCount": prompt, "responseTokenCount": answer, "totalTokenCount": prompt + answer,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": prompt}],
        "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": answer}], **usage,
    }  # fmt: skip
    return {**DONE, "usageMetadata": counts}


class Google:
    """Google's side: keeps what arrives, and answers each message with the next of the scripts."""

    def __init__(self) -> None:
        self.handshakes: list[tuple[str, dict[str, str]]] = []
        self.received: list[tuple[WSMsgType, bytes]] = []
        self.answers: list[list[bytes | str | dict[str, Any] | tuple[int, str]]] = []
        """For each message: bytes for a binary frame, text, JSON, or a close frame."""
        self.status: list[int] = []
        """Statuses in place of a handshake."""
        self.words = "no"
        """The message of such an error."""
        self.closed: list[tuple[int | None, str]] = []
        """How clients have closed."""
        self.serve: Serve | None = None
        """Serves a session after `setup` in place of `answers`."""
        self.names = iter(range(1000))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.handshakes.append((request.path_qs, {k.lower(): v for k, v in request.headers.items()}))
        if request.path.endswith("/auth_tokens"):
            self.received.append((WSMsgType.TEXT, await request.read()))
            return web.json_response({"name": f"auth_tokens/google{next(self.names)}"})
        if self.status:
            status = self.status.pop(0)
            return web.json_response({"error": {"code": status, "message": self.words}}, status=status)
        socket = web.WebSocketResponse(max_msg_size=2**27, compress=False, decode_text=False)
        await socket.prepare(request)
        while (message := await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
            self.received.append((message.type, bytes(message.data)))
            script = self.answers.pop(0) if self.answers else []
            if not script and "setup" in str(message.data[:12]):
                script = [{"setupComplete": {}}]
            for answer in script:
                await send(socket, answer)
            if self.serve is not None:
                await self.serve(socket)
        self.closed.append((socket.close_code, str(message.extra or "")))
        return socket


async def send(socket: web.WebSocketResponse, answer: bytes | str | dict[str, Any] | tuple[int, str]) -> None:
    """Send a message or a close frame."""
    if isinstance(answer, tuple):
        await socket.close(code=answer[0], message=answer[1].encode())
    elif isinstance(answer, str):
        await socket.send_str(answer)
    else:
        await socket.send_bytes(answer if isinstance(answer, bytes) else json.dumps(answer).encode())
