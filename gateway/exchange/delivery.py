"""Reading a body and writing an answer: what every surface needs of HTTP."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar

import msgspec
from aiohttp import web
from msgspec import Raw

from gateway.config.sections import StreamConfig
from gateway.errors import (
    BadRequest,
    GatewayError,
    MethodNotAllowed,
    TooLarge,
    openai_error,
    retry_headers,
)
from gateway.gemini import json_shape as shape
from gateway.gemini.sse import comment
from gateway.observability.request_log import REQUEST_LOG

T = TypeVar("T")

ErrorReply = Callable[[GatewayError], web.Response]
ERROR_REPLY: web.RequestKey[ErrorReply] = web.RequestKey("error_reply", object)  # type: ignore[arg-type]  # a function
"""How this request's surface tells an error, where it is not in OpenAI's way."""

_PATH = re.compile(r" - at `(\$|key in \$)(.*)`$")
_ENCODINGS = ("", "identity")
HEAVY = 128 * 1024
"""Bytes of a body that is looked through in a thread, so that nobody else waits for it."""
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode

STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class Body(msgspec.Struct, frozen=True):
    """A JSON object as it came: its bytes, and its fields undecoded."""

    data: bytes
    fields: dict[str, Raw]

    @property
    def heavy(self) -> bool:
        """Too much to be translated on the loop."""
        return len(self.data) > HEAVY

    def decode(self, decoder: Callable[[bytes], T]) -> T:
        """Typed. Raises BadRequest with the path of the first field that is wrong."""
        try:
            return decoder(self.data)
        except msgspec.ValidationError as error:
            raise _invalid(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _not_json() from None


async def read_body(request: web.Request) -> Body:
    """The JSON object a client sent, whatever its Content-Type says.

    Raises TooLarge over `limits.body`, BadRequest for anything that is not a JSON object.
    """
    if request.headers.get("Content-Encoding", "").lower() not in _ENCODINGS:
        raise BadRequest(
            "send the body as it is: no Content-Encoding is understood",
            status=415,
            code="unsupported_encoding",
        )
    data = await read_whole(request)
    return await asyncio.to_thread(parse, data) if len(data) > HEAVY else parse(data)


async def read_whole(request: web.Request) -> bytes:
    """The bytes a client sent. Raises TooLarge over `limits.body`."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise TooLarge("the request body is larger than this gateway takes (limits.body)") from error


def parse(data: bytes) -> Body:
    """A JSON object, looked over before it is decoded. Raises BadRequest for anything else."""
    shape.check(data)
    try:
        return Body(data, _decode_fields(data))
    except msgspec.ValidationError:
        raise BadRequest("the request body must be a JSON object", code="invalid_type") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _not_json() from None


def _not_json() -> BadRequest:
    return BadRequest("the request body is not valid JSON", code="invalid_json")


def _invalid(error: msgspec.ValidationError) -> BadRequest:
    """msgspec's message holds the path: `Expected `int`, got `str` - at `$.n``."""
    message = str(error)
    found = _PATH.search(message)
    path = found[2].lstrip(".") if found else ""
    message = message[: found.start()] if found else message
    missing = re.match(r"Object missing required field `(\w+)`", message)
    if missing:
        param = f"{path}.{missing[1]}" if path else missing[1]
        return BadRequest(f"`{param}` is required", param=param, code="missing_required_parameter")
    code = "invalid_type" if message.startswith("Expected") and "got" in message else "invalid_value"
    return BadRequest(f"{path or 'body'}: {message[:300]}", param=path or None, code=code)


def json_reply(data: bytes, headers: Mapping[str, str], status: int = 200) -> web.Response:
    """A whole answer."""
    return web.Response(body=data, status=status, headers={"Content-Type": "application/json", **headers})


def answered_by(model: str, notes: Iterable[str], adjusted: Iterable[str] = ()) -> dict[str, str]:
    """Headers that tell which model answered, and which fields were not honoured, or only after a repair."""
    told = dict.fromkeys([*notes, *adjusted])
    return (
        {"x-gateway-model": model, "x-gateway-notes": ",".join(told)} if told else {"x-gateway-model": model}
    )


def error_reply(error: GatewayError) -> web.Response:
    """OpenAI's error object with the headers its SDKs obey (translation.md E.3)."""
    headers = retry_headers(error)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = error.allow
    return json_reply(openai_error(error), headers, error.status)


class StreamReply:
    """A streamed answer: headers wait for the first content or for the grace to pass, then silence is kept alive.

    An async context manager. A timer does the waiting, so a quick stream costs no task (design.md 1.1, 1).
    """

    def __init__(
        self, request: web.Request, headers: Callable[[], Mapping[str, str]], config: StreamConfig
    ) -> None:
        self._request = request
        self._headers = headers
        self._response = web.StreamResponse(headers=STREAM_HEADERS)
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._last_write = self._loop.time()
        self._writing = False
        self._pulse: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.begun = False
        self.said = False

    async def __aenter__(self) -> Self:
        self._timer = self._loop.call_later(self._config.first_byte_grace, self._tick)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._pulse is not None:
            self._pulse.cancel()

    async def write(self, data: bytes) -> None:
        """Content for the client; the first brings the headers with it. Waits for a slow reader."""
        if not self.said:
            self.said = True
            self._request[REQUEST_LOG].first_byte()
        await self._send(data)

    async def finish(self) -> web.StreamResponse:
        """The end of the stream, of which perhaps nothing was left to say."""
        if not self.begun:
            await self._send(b"")
        await self._response.write_eof()
        return self._response

    async def _send(self, data: bytes) -> None:
        # prepare() does not suspend before the headers are in the transport's buffer, and asked twice it
        # answers at once: the timer's comment and the content cannot get between them.
        if not self.begun:
            self.begun = True
            self._response.headers.update(self._headers())
            await self._response.prepare(self._request)
        self._writing = True
        self._last_write = self._loop.time()
        await self._response.write(data)
        self._writing = False

    def _tick(self) -> None:
        """Silence: send a comment. Or a client that does not read: cut it off (aiohttp has no write timeout)."""
        idle = self._loop.time() - self._last_write
        wait = self._config.keep_alive
        if self._writing:
            if idle >= self._config.write_timeout and self._request.transport is not None:
                self._request.transport.abort()
        elif not self.begun or idle >= wait:
            self._pulse = self._loop.create_task(self._send(comment("keep-alive")), name="keep-alive")
        else:
            wait -= idle
        self._timer = self._loop.call_later(wait, self._tick)
