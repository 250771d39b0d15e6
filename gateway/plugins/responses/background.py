"""One response on its way: asked, told whole or in events, kept for later, or made in the background."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from gateway.errors import GatewayError
from gateway.exchange.delivery import StreamReply, answered_by, json_reply
from gateway.exchange.event_buffer import EventBuffer
from gateway.exchange.exchange import Reply
from gateway.exchange.ids import unique
from gateway.exchange.preparation import PreparedChat
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.observability.request_log import RequestLog
from gateway.plugin import Services
from gateway.plugins.responses import wire
from gateway.plugins.responses.response import Object, ResponseOptions, ResponseStream
from gateway.policy.access import Client

_BEAT = 15.0
"""Seconds between two signs of life of a response that is made in the background."""
STALE = 4 * _BEAT
"""Seconds without a sign of life after which its process must be dead."""

Keep = Callable[[Object], Awaitable[None]]
"""Stores what is worth storing of a response: `response`, `input`, `items` (input and output), `beat` (epoch)."""


class Asked(msgspec.Struct, frozen=True):
    """A request, understood."""

    body: wire.ResponseRequest
    question: PreparedChat
    client: Client
    items: list[Any]
    """All input so far, as it came; none when it is not stored."""
    heavy: bool = False
    """Of many bytes: not to be encoded on the loop."""


class ResponseRun:
    """Makes one response."""

    def __init__(self, asked: Asked, services: Services, keep: Keep) -> None:
        self._asked = asked
        self._services = services
        self._store = keep
        self.name = unique("resp_")
        wanted = "reasoning.encrypted_content" in (asked.body.include or ())
        self._encoder = ResponseStream(
            _response(self.name, asked.body, asked.question.model),
            ResponseOptions(asked.question.style.rules, wanted),
            unique,
        )
        self.tape = EventBuffer()
        """What was said so far, of a response in the background."""
        self._task: asyncio.Task[None] | None = None

    @property
    def response(self) -> Object:
        """The object as far as it is made."""
        return self._encoder.response

    async def complete(self, record: RequestLog) -> web.Response:
        """The whole object."""
        question, client = self._asked.question, self._asked.client
        events = await self._services.exchange.complete(question.calls[0], client, record, self._reader)
        self._encoder.encode(events)
        await self._keep()
        return json_reply(wire.encode(self.response), self.headers(record))

    async def stream(self, request: web.Request, record: RequestLog) -> web.StreamResponse:
        """Its events."""
        async with StreamReply(request, lambda: self.headers(record), self._services.config.stream) as reply:
            return await self._say(reply, record)

    def start(self, record: RequestLog) -> None:
        """Make it in the background; a drain of the process waits for it, too."""
        self._task = asyncio.create_task(self._in_background(record), name=self.name)
        self._services.running.add(self._task)
        self._task.add_done_callback(self._services.running.discard)

    async def cancel(self, why: str | None = None) -> None:
        """Stop what is made in the background; returns when it has stopped."""
        if self._task is not None:
            self._task.cancel(why)
            await asyncio.wait([self._task])

    def headers(self, record: RequestLog) -> dict[str, str]:
        """The model that answers, and what was not honoured."""
        record.model = model = self.response["model"]
        return answered_by(model, self._asked.question.notes, record.adjusted)

    async def _in_background(self, record: RequestLog) -> None:
        beats = asyncio.create_task(self._beat(), name=f"{self.name}-beat")
        try:
            with self._services.admission:
                await self.tape.write(self._encoder.begin())
                await self._say(self.tape, record)
        except GatewayError as error:  # no place is free, now that its turn has come
            await self.tape.write(self._encoder.fail(error))
        except asyncio.CancelledError:
            self.response["status"] = "cancelled"
        finally:
            beats.cancel()
            await self._keep()
            self.tape.end()
            self._services.finished(record, 200)

    async def _beat(self) -> None:
        while True:
            await self._keep()
            await asyncio.sleep(_BEAT)

    async def _say(self, reply: Reply, record: RequestLog) -> web.StreamResponse:
        question = self._asked.question
        return await self._services.exchange.stream(
            question.calls,
            self._asked.client,
            _Storing(reply, self._keep_when_done),
            record,
            self._translator,
        )

    def _translator(self, _: int) -> StreamTranslator:
        return StreamTranslator(self._reader(), self._encoder)

    def _reader(self) -> TurnReader:
        question = self._asked.question
        return TurnReader(lambda: unique("call_"), question.style.rules, question.keyring)

    async def _keep_when_done(self) -> None:
        """Before the client hears that it is done: its next request may come at once."""
        if self._encoder.done:
            await self._keep()

    async def _keep(self) -> None:
        if self._asked.body.store is False:
            return
        response, items = self.response, self._asked.items
        await self._store(
            {
                "response": response,
                "input": items,
                "items": [*items, *response["output"]],
                "beat": time.time(),
            }
        )


class _Storing:
    """A reply that sees to the store before the last frame goes out."""

    def __init__(self, reply: Reply, keep_when_done: Callable[[], Awaitable[None]]) -> None:
        self._reply = reply
        self._keep_when_done = keep_when_done

    @property
    def begun(self) -> bool:
        return self._reply.begun

    async def write(self, data: bytes) -> None:
        await self._keep_when_done()
        await self._reply.write(data)

    async def finish(self) -> web.StreamResponse:
        return await self._reply.finish()


def _response(name: str, body: wire.ResponseRequest, model: str) -> Object:
    """The object before anything was said; every field that Open Responses requires (wire.md, surprise 9)."""
    text = body.text.format if body.text is not None else None
    return {
        "id": name, "object": "response", "created_at": int(time.time()), "completed_at": None,
        "status": "queued" if body.background else "in_progress", "background": bool(body.background), "error": None,
        "incomplete_details": None,
        "instructions": body.instructions if isinstance(body.instructions, str) else None,
        "max_output_tokens": body.max_output_tokens, "max_tool_calls": None, "model": model, "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id, "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {"effort": body.reasoning.effort if body.reasoning else None,
                      "summary": body.reasoning.summary if body.reasoning else None},
        "safety_identifier": None, "service_tier": "default", "store": body.store is not False,
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "frequency_penalty": 0.0, "presence_penalty": 0.0,
        "text": {"format": _set(text) if text else {"type": "text"}, "verbosity": "medium"},
        "tool_choice": body.tool_choice or "auto", "tools": [_echoed(tool) for tool in body.tools or ()],
        "top_logprobs": body.top_logprobs or 0, "top_p": 1.0 if body.top_p is None else body.top_p,
        "truncation": "disabled", "usage": None, "metadata": body.metadata or {},
    }  # fmt: skip


def _echoed(tool: wire.ResponseTool) -> Object:
    """A tool as it is given back; a function needs all of its fields."""
    if tool.type == "function":
        return {"type": "function", "name": tool.name, "description": tool.description,
                "parameters": tool.parameters, "strict": bool(tool.strict)}  # fmt: skip
    return _set(tool)


def _set(given: msgspec.Struct) -> Object:
    """What was said of it, without what was not."""
    found: Object = msgspec.to_builtins(given)
    return {key: value for key, value in found.items() if value is not None}
