"""OpenAI's chat completions."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated, ClassVar

from aiohttp import web
from msgspec import Meta, Struct

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.field_policy import FieldPolicies, review
from gateway.conversation.foreign.originals import NO_PLACEHOLDERS
from gateway.errors import BadRequest, UpstreamError
from gateway.exchange.batches.lines import BatchAnswer, BatchLine, generation, read, read_rules
from gateway.exchange.calls.fallback import Choice
from gateway.exchange.context import RequestContext, dry_context
from gateway.exchange.ids import unique
from gateway.exchange.incoming.request_body import Body, read_plain
from gateway.exchange.offload import HEAVY_ANSWER, offload
from gateway.exchange.preparation import PreparedRequest, RequestOptions
from gateway.exchange.replies.delivery import answer_headers
from gateway.exchange.replies.stream_relay import Reply
from gateway.gemini.call_names import CallRules
from gateway.gemini.events import Event
from gateway.gemini.plain_answer import PlainAnswer
from gateway.gemini.stream_translator import decode
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.turn_reader import MOST_CANDIDATES, TurnReader
from gateway.gemini.usage import TokenCounts
from gateway.plugin import DryRun, Plugin
from gateway.plugins.chat import plain_answer, plain_request
from gateway.plugins.chat.answer_wire import encode
from gateway.plugins.chat.fields import CHAT
from gateway.plugins.chat.plain_request import PlainStreamOptions
from gateway.plugins.chat.request import conversation
from gateway.plugins.chat.response import AnswerOptions, ChatStream, Envelope, completion
from gateway.plugins.chat.wire import PLACEHOLDERS, ChatRequest, StreamOptions, decode_request
from gateway.policy.clients.access import Client


class Chat(Plugin):
    """`POST …/chat/completions`, whole and streamed."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.chat`."""

        thoughts: Annotated[
            bool, Meta(description="Ask for thought summaries even when the client did not.")
        ] = False
        grounding: Annotated[
            bool, Meta(description="Show Google's grounding metadata beside the annotations.")
        ] = False

    fields: ClassVar[FieldPolicies] = {"POST /v1/chat/completions": CHAT}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/chat/completions", self.create)]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        async with self.services.enter(request, "chat") as context:
            body, plain = await read_plain(request, plain_request.decode)
            said = None
            if plain is not None:
                said = plain_request.conversation(
                    plain, partial(self._conversation, body), strict=self.services.strict
                )
            if plain is None or said is None:
                answer = await self._prepare(body, context)
            else:
                options = RequestOptions(plain.model, bool(plain.stream), show_thoughts=self.config.thoughts)
                preparation = self.services.preparation
                answer = self._answer(
                    preparation.prepare_plain(said, options, context)
                    or await preparation.prepare_long(said, options, context),
                    plain.stream_options,
                )
            del body, plain, said  # a stream may live for an hour
            return await self.services.delivery.send(request, context, answer)

    async def dry_run(self, body: Body, client: Client) -> DryRun:
        """Return the Gemini calls for a chat request. Raises GatewayError as `create` would."""
        context = dry_context(client)
        prepared = (await self._prepare(body, context)).prepared
        notes = list(dict.fromkeys([*prepared.notes, *context.report.adjusted]))
        requests = [choice.call.request for choice in prepared.choices]
        return DryRun(prepared.call.model, prepared.call.path, requests, notes)

    def render(self, answer: bytes) -> bytes:
        """Return the chat completion for a Gemini answer. Raises BadRequest if it is not one."""
        reader = TurnReader(lambda: "call_preview", most=MOST_CANDIDATES)
        try:
            events = reader.feed(decode(answer)) + reader.close(whole=True, accept_empty=True)
        except UpstreamError as error:  # here the client sent it, not Google
            raise BadRequest(error.message) from None
        return encode(completion(events, Envelope("chatcmpl-preview", int(time.time()), "unknown")))

    async def batch_line(self, body: Body, context: RequestContext) -> BatchLine:
        """Return the Gemini calls for a line of a batch. Raises GatewayError as `create` would."""
        prepared = (await self._prepare(body, context)).prepared
        return await generation(prepared, self.services.exchange, context)

    async def batch_answer(
        self, kept: bytes, answers: Sequence[bytes], context: RequestContext
    ) -> BatchAnswer:
        """Return the chat completion for Gemini's answers to a line. Raises GatewayError."""
        line, keys = read_rules(kept), SignatureKeys(context.client.scope)
        style = AnswerOptions(line.rules, line.audio_format, self.config.grounding, line.choices)
        events, counts = await read(
            self.services.exchange,
            answers,
            lambda choice: _reader(line.rules, keys, choice, line.choices),
            context,
        )
        envelope = Envelope(unique("chatcmpl-"), int(time.time()), line.model)
        return BatchAnswer(encode(completion(events, envelope, style)), counts)

    async def answer_body(self, body: Body, context: RequestContext) -> bytes:
        """Return a whole completion. Raises GatewayError as `create` would."""
        answer = await self._prepare(body, context)
        events = await self.services.exchange.complete(answer.choices, context, answer.reader)
        return await answer.whole(events, heavy=context.report.answer_bytes > HEAVY_ANSWER)

    async def _prepare(self, data: Body, context: RequestContext) -> "ChatAnswer":
        body, recorded = await offload(data.heavy, self._read, data)
        options = RequestOptions(
            body.model,
            bool(body.stream),
            body.n or 1,
            cache_key=body.prompt_cache_key or "",
            heavy=data.heavy,
            show_thoughts=self.config.thoughts,
        )
        prepared = await self.services.preparation.prepare(recorded, options, context)
        return self._answer(prepared, body.stream_options)

    def _answer(
        self, prepared: PreparedRequest, options: StreamOptions | PlainStreamOptions | None
    ) -> "ChatAnswer":
        choices = prepared.choices
        envelope = Envelope(unique("chatcmpl-"), int(time.time()), choices[0].call.model)
        include_usage = options is not None and bool(options.include_usage)
        return ChatAnswer(choices, prepared, include_usage, self.config.grounding, envelope)

    def _conversation(self, data: Body) -> ConversationBuilder:
        return self._read(data)[1]

    def _read(self, data: Body) -> tuple[ChatRequest, ConversationBuilder]:
        """Return a body, and what it says. Raises BadRequest with the path of what is wrong."""
        strict, fields = self.services.strict, data.fields
        body = data.decode(decode_request, NO_PLACEHOLDERS if strict else PLACEHOLDERS)
        recorded = conversation(body, fields, strict=strict)
        review(fields, CHAT, recorded.notes)
        return body, recorded


class ChatAnswer(Struct, eq=False):
    """A chat completion under way to the client."""

    choices: list[Choice]
    prepared: PreparedRequest
    _include_usage: bool
    _grounding: bool
    _envelope: Envelope

    @property
    def _style(self) -> AnswerOptions:
        prepared = self.prepared
        return AnswerOptions(prepared.rules, prepared.audio_format, self._grounding, len(prepared.choices))

    @property
    def model(self) -> str:
        return self._envelope.model

    def reader(self, choice: int) -> TurnReader:
        return _reader(self.prepared.rules, self.prepared.keys, choice, len(self.choices))

    def encoder(self) -> ChatStream:
        return ChatStream(self._envelope, include_usage=self._include_usage, style=self._style)

    async def whole(self, events: list[Event], *, heavy: bool) -> bytes:
        return await offload(True, self._whole, events) if heavy else self._whole(events)

    def _whole(self, events: list[Event]) -> bytes:
        plain = plain_answer.completion(events, self._envelope)
        return encode(plain if plain is not None else completion(events, self._envelope, self._style))

    def plain(self, answer: PlainAnswer, counts: TokenCounts) -> bytes | None:
        completed = plain_answer.of_answer(answer, counts, self._envelope)
        return None if completed is None else encode(completed)

    def reply(self, reply: Reply) -> Reply:
        return reply

    def headers(self, model: str, context: RequestContext) -> dict[str, str]:
        return answer_headers(model, self.prepared.notes, context.report.adjusted)


def _reader(rules: CallRules, keys: SignatureKeys, choice: int, choices: int) -> TurnReader:
    most = 1 if choices > 1 else MOST_CANDIDATES  # `google.generation_config.candidate_count`
    reader = TurnReader(_call_id, rules, keys, choice, most)
    reader.runs = "texts"
    return reader


def _call_id() -> str:
    return unique("call_")
