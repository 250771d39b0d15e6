"""One response in progress: whole, in events or in the background, and stored for later requests."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from gateway.errors import GatewayError, Revoked, forget_frames
from gateway.exchange.cancellation import of_cancellation
from gateway.exchange.context import RequestContext
from gateway.exchange.ids import unique
from gateway.exchange.offload import offload
from gateway.exchange.preparation import PreparedRequest
from gateway.exchange.replies.delivery import answer_headers
from gateway.exchange.replies.event_buffer import EventBuffer
from gateway.exchange.replies.stream_relay import Reply
from gateway.gemini.events import Event
from gateway.gemini.turn_reader import TurnReader
from gateway.plugin import Services
from gateway.plugins.responses import wire
from gateway.plugins.responses.hosted_items import is_grounded
from gateway.plugins.responses.hosted_tools import allowed_domains
from gateway.plugins.responses.response import Object, ResponseOptions, ResponseStream
from gateway.plugins.responses.response_object import new_response
from gateway.plugins.responses.stored import HEARTBEAT

_REPEATED = ("instructions", "metadata", "prompt_cache_key", "text", "tool_choice", "tools")
"""Fields of a response that repeat the request's, of any size."""

Store = Callable[[Object, Sequence[str]], Awaitable[None]]
"""Stores a response with its input: `response`, `input`, `items` (of both), `beat` (Unix seconds); and the ids of
input items that lead to it."""


class PreparedResponse(msgspec.Struct, frozen=True):
    """A request that is ready to be sent."""

    body: wire.ResponseRequest
    request: PreparedRequest
    items: list[Any]
    """The whole input so far, as the client sent it; empty when it is not kept."""
    name: str
    """The response's id."""
    ids: list[str] = []
    """The ids that items of the input came with."""
    heavy: bool = False
    """So many bytes that they are encoded in a thread."""


class ResponseRun:
    """A response in progress (`delivery.Answer`). Making a heavy one takes time: do it in a thread.

    Without `store` it is not kept.
    """

    def __init__(self, prepared: PreparedResponse, services: Services, store: Store | None) -> None:
        self.choices = prepared.request.choices
        self._prepared = prepared
        self._services = services
        self._store = store
        self.name = prepared.name
        wanted = "reasoning.encrypted_content" in (prepared.body.include or ())
        response = new_response(self.name, prepared.body, prepared.request.call.model, int(time.time()))
        if prepared.heavy:  # each event with the response repeats what the client sent: it is encoded once
            response.update({name: msgspec.Raw(wire.encode(response[name])) for name in _REPEATED})
        self._encoder = ResponseStream(
            response,
            ResponseOptions(
                prepared.request.rules,
                wanted,
                is_grounded(prepared.request.call.request),
                allowed_domains(prepared.body),
            ),
            unique,
            lambda: int(time.time()),
        )
        self.buffer = EventBuffer()
        """The events so far of a response in the background."""
        self._task: asyncio.Task[None] | None = None

    @property
    def response(self) -> Object:
        """The response object so far."""
        return self._encoder.response

    @property
    def model(self) -> str:
        model: str = self.response["model"]
        return model

    def reader(self, choice: int) -> TurnReader:
        request = self._prepared.request
        reader = TurnReader(_call_id, request.rules, request.keys, choice)
        reader.runs = "calls"
        return reader

    def encoder(self) -> ResponseStream:
        return self._encoder

    def keep_alive(self, *, begun: bool) -> bytes:
        return self._encoder.keep_alive(begun=begun)

    async def whole(self, events: list[Event], *, heavy: bool) -> bytes:
        await offload(heavy, self._encoder.whole, events)
        await self._save()
        return await offload(heavy or self._prepared.heavy, wire.encode, self.response)

    def reply(self, reply: Reply) -> Reply:
        return _Storing(reply, self._save_when_done)

    def headers(self, model: str, context: RequestContext) -> dict[str, str]:
        return answer_headers(model, self._prepared.request.notes, context.report.adjusted)

    def start(
        self, context: RequestContext, leave: Callable[[], Awaitable[None]], ended: Callable[[], None]
    ) -> None:
        """Make the response in the background. A drain waits for it, too.

        `leave` is called before the response is stored at its end, `ended` after everything.
        """
        self.buffer.memory = context.memory
        self._task = self._services.spawn(
            self._in_background(context, leave, ended), self.name, context.client
        )

    async def cancel(self, why: str | None = None) -> None:
        """Cancel a background response; return when it has stopped."""
        if self._task is not None:
            self._task.cancel(why)
            await asyncio.wait([self._task])

    async def _in_background(
        self, context: RequestContext, leave: Callable[[], Awaitable[None]], ended: Callable[[], None]
    ) -> None:
        heartbeat = asyncio.create_task(self._beat(), name=f"{self.name}-beat")
        try:
            with self._services.admission:
                await self.buffer.write(self._encoder.begin())
                await self._services.delivery.stream_to(self.reply(self.buffer), context, self)
        except GatewayError as error:  # the gateway is full by now
            await self.buffer.write(self._encoder.fail(forget_frames(error)))
        except asyncio.CancelledError as cancelled:
            forget_frames(cancelled)
            if isinstance(reason := of_cancellation(cancelled), Revoked):
                await self.buffer.write(self._encoder.fail(reason))
            else:
                self.response["status"] = "cancelled"
        finally:
            heartbeat.cancel()
            await leave()
            await self._save()
            self._let_go_of_request()
            self.buffer.end()
            ended()
            self._services.finished(context, 200)

    def _let_go_of_request(self) -> None:
        """Drop the request of a response that has ended; its events are kept."""
        request = msgspec.structs.replace(self._prepared.request, choices=[])
        self._prepared = msgspec.structs.replace(self._prepared, request=request, items=[])
        self.choices = []

    async def _beat(self) -> None:
        while True:
            await self._save()
            await asyncio.sleep(HEARTBEAT)

    async def _save_when_done(self) -> None:
        """Store the response before the client sees its end: the next request may refer to it at once."""
        if self._encoder.done:
            await self._save()

    async def _save(self) -> None:
        if self._store is None:
            return
        response, items = self.response, self._prepared.items
        await self._store(
            {
                "response": response,
                "input": items,
                "items": [*items, *response["output"]],
                "beat": time.time(),
            },
            self._prepared.ids,
        )


def _call_id() -> str:
    return unique("call_")


class _Storing:
    """A reply that stores the response before it sends the last frame."""

    def __init__(self, reply: Reply, save_when_done: Callable[[], Awaitable[None]]) -> None:
        self._reply = reply
        self._save_when_done = save_when_done
        self.push = reply.push
        """The last frame is not pushed: `finish` writes it."""

    @property
    def begun(self) -> bool:
        return self._reply.begun

    async def write(self, data: bytes) -> None:
        await self._save_when_done()
        await self._reply.write(data)

    async def finish(self, last: bytes = b"") -> web.StreamResponse:
        if last:
            await self._save_when_done()
        return await self._reply.finish(last)
