"""OpenAI's legacy completions: each prompt is a conversation of one turn."""

import time
from typing import ClassVar

from aiohttp import web

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.field_policy import FieldPolicies, review
from gateway.errors import BadRequest
from gateway.exchange.calls.fallback import Choice
from gateway.exchange.context import RequestContext
from gateway.exchange.ids import unique
from gateway.exchange.incoming.request_body import Body, read_body
from gateway.exchange.offload import HEAVY_ANSWER, offload
from gateway.exchange.preparation import PreparedRequest, RequestOptions
from gateway.exchange.replies.delivery import answer_headers
from gateway.exchange.replies.stream_relay import Reply
from gateway.gemini.events import Event
from gateway.gemini.turn_reader import TurnReader
from gateway.plugin import Plugin
from gateway.plugins.completions import wire
from gateway.plugins.completions.fields import COMPLETIONS
from gateway.plugins.completions.request import conversation, instruction, prompts
from gateway.plugins.completions.response import CompletionStream, Envelope, completion

_ECHO_COPIES = 3
"""Copies of each choice's prompt that exist at once: before its text, encoded, and on its way to the client."""


class Completions(Plugin):
    """`POST /v1/completions`, whole and streamed."""

    fields: ClassVar[FieldPolicies] = {"POST /v1/completions": COMPLETIONS}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/completions", self.create)]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer one request. Choice k of prompt p is number p * n + k, as in OpenAI's API."""
        async with self.services.enter(request, "completions") as context:
            answer = await self._prepare(await read_body(request), context)
            return await self.services.delivery.send(request, context, answer)

    async def answer_body(self, body: Body, context: RequestContext) -> bytes:
        """Return a whole completion. Raises GatewayError as `create` would."""
        answer = await self._prepare(body, context)
        events = await self.services.exchange.complete(answer.choices, context, answer.reader)
        return await answer.whole(events, heavy=context.report.answer_bytes > HEAVY_ANSWER)

    async def _prepare(self, data: Body, context: RequestContext) -> "CompletionAnswer":
        body = await offload(data.heavy, data.decode, wire.decode_request)
        texts, n = prompts(body), body.n or 1
        if len(texts) * n > (most := self.services.config.limits.choices):
            param = "n" if body.n is not None else "prompt"
            raise BadRequest(
                f"Invalid '{param}': this gateway allows at most {most} choices of all prompts together, "
                f"but the request asks for {len(texts)} prompts with n={n}: {len(texts) * n}.",
                param=param,
                code="unsupported_value",
            )
        options = RequestOptions(body.model, bool(body.stream), n, heavy=data.heavy)
        prepared = [
            await self.services.preparation.prepare(recorded, options, context)
            for recorded in await offload(data.heavy, self._read, data, body, texts)
        ]
        if body.echo:
            context.memory.take(len(data.data) * n * _ECHO_COPIES)
        echoes = [text if body.echo else "" for text in texts for _ in range(n)]
        include_usage = bool(body.stream_options and body.stream_options.include_usage)
        return CompletionAnswer(prepared, echoes, include_usage=include_usage)

    def _read(self, data: Body, body: wire.CompletionRequest, texts: list[str]) -> list[ConversationBuilder]:
        """Return a conversation for each prompt. Raises BadRequest with the path of what is wrong."""
        several = isinstance(body.prompt, list)
        strict, shared = self.services.strict, instruction(body)
        recorded = [
            conversation(body, text, f"prompt[{i}]" if several else "prompt", shared, strict=strict)
            for i, text in enumerate(texts)
        ]
        review(data.fields, COMPLETIONS, recorded[0].notes)
        return recorded


class CompletionAnswer:
    """A legacy completion under way to the client."""

    def __init__(self, prepared: list[PreparedRequest], echoes: list[str], *, include_usage: bool) -> None:
        self.choices: list[Choice] = [choice for prompt in prepared for choice in prompt.choices]
        self._first = prepared[0]
        self._echoes = echoes
        self._include_usage = include_usage
        self._envelope = Envelope(unique("cmpl-"), int(time.time()), self._first.call.model)

    @property
    def model(self) -> str:
        return self._envelope.model

    def reader(self, choice: int) -> TurnReader:
        return TurnReader(_call_id, self._first.rules, base=choice)

    def encoder(self) -> CompletionStream:
        return CompletionStream(
            self._envelope,
            self._echoes,
            include_usage=self._include_usage,
            calls=len(self.choices),
        )

    async def whole(self, events: list[Event], *, heavy: bool) -> bytes:
        return await offload(heavy, self._whole, events)

    def _whole(self, events: list[Event]) -> bytes:
        return wire.encode(completion(events, self._envelope, self._echoes))

    def reply(self, reply: Reply) -> Reply:
        return reply

    def headers(self, model: str, context: RequestContext) -> dict[str, str]:
        return answer_headers(model, self._first.notes, context.report.adjusted)


def _call_id() -> str:
    return unique("call_")
