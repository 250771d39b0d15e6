"""Anthropic's Messages API."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

from aiohttp import web
from msgspec import Raw

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.field_policy import FieldPolicies, review
from gateway.conversation.foreign.originals import NO_PLACEHOLDERS
from gateway.errors import GatewayError
from gateway.exchange.batches.lines import BatchAnswer, BatchLine, generation, kept_rules, read, read_rules
from gateway.exchange.context import RequestContext
from gateway.exchange.ids import unique
from gateway.exchange.incoming.request_body import Body, read_body, read_plain
from gateway.exchange.offload import HEAVY_ANSWER, offload
from gateway.exchange.preparation import PreparedRequest, RequestOptions
from gateway.exchange.replies.delivery import ErrorRenderer, answer_headers, json_response
from gateway.exchange.replies.stream_relay import Reply
from gateway.gemini.events import Event
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.turn_reader import TurnReader
from gateway.plugin import Plugin
from gateway.plugins.messages import plain_answer, plain_request
from gateway.plugins.messages import wire as anthropic
from gateway.plugins.messages.fields import MESSAGES
from gateway.plugins.messages.request import conversation
from gateway.plugins.messages.response import OVERLOADED, MessagesStream, Object, error_object, error_status
from gateway.policy.api_paths import Family


class Messages(Plugin):
    """`POST /v1/messages` and `/v1/messages/count_tokens`."""

    fields: ClassVar[FieldPolicies] = {"POST /v1/messages": MESSAGES}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/messages", self.create),
            web.post("/v1/messages/count_tokens", self.count),
        ]

    def error_formats(self) -> Mapping[Family, ErrorRenderer]:
        return {"anthropic": render_error}

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, whole or in events."""
        async with self.services.enter(request, "messages", render_error) as context:
            body, plain = await read_plain(request, plain_request.decode)
            said = None
            if plain is not None:
                said = plain_request.conversation(plain, partial(self._conversation, body))
            if plain is None or said is None:
                prepared = await self._prepare(body, context, counting=False)
            else:
                options = RequestOptions(plain.model, bool(plain.stream))
                prepared = await self.services.preparation.prepare(said, options, context)
            del body, plain, said  # a stream may live for an hour
            return await self.services.delivery.send(request, context, MessageAnswer(prepared))

    async def count(self, request: web.Request) -> web.Response:
        """Return the input tokens of a request."""
        async with self.services.enter(request, "messages", render_error) as context:
            prepared = await self._prepare(await read_body(request), context, counting=True)
            tokens = await self.services.exchange.count(prepared.call, context)
        return json_response(anthropic.encode({"input_tokens": tokens}), {})

    async def batch_line(self, body: Body, context: RequestContext) -> BatchLine:
        """Return the Gemini call for a request of a batch. Raises GatewayError as `create` would."""
        prepared = await self._prepare(body, context, counting=False)
        kept = anthropic.encode(anthropic.KeptLine(Raw(kept_rules(prepared)), _is_grounded(prepared)))
        return await generation(prepared, self.services.exchange, context, kept)

    async def batch_answer(
        self, kept: bytes, answers: Sequence[bytes], context: RequestContext
    ) -> BatchAnswer:
        """Return the message for Gemini's answer to a request. Raises GatewayError."""
        line, keys = anthropic.decode_kept(kept), SignatureKeys(context.client.scope)
        rules = read_rules(bytes(line.rules))
        encoder = MessagesStream(_message(rules.model), grounded=line.grounded)
        events, counts = await read(
            self.services.exchange,
            answers,
            lambda choice: TurnReader(_call_id, rules.rules, keys, choice),
            context,
        )
        encoder.whole(events)
        return BatchAnswer(anthropic.encode(encoder.message), counts)

    async def answer_body(self, body: Body, context: RequestContext) -> bytes:
        """Return a whole message. Raises GatewayError as `create` would."""
        answer = MessageAnswer(await self._prepare(body, context, counting=False))
        events = await self.services.exchange.complete(answer.choices, context, answer.reader)
        return await answer.whole(events, heavy=context.report.answer_bytes > HEAVY_ANSWER)

    async def _prepare(self, data: Body, context: RequestContext, *, counting: bool) -> PreparedRequest:
        body, recorded = await offload(data.heavy, self._read, data, counting)
        options = RequestOptions(body.model, bool(body.stream), heavy=data.heavy)
        return await self.services.preparation.prepare(recorded, options, context)

    def _conversation(self, data: Body) -> ConversationBuilder:
        return self._read(data, False)[1]

    def _read(self, data: Body, counting: bool) -> tuple[anthropic.MessagesRequest, ConversationBuilder]:
        """Return a body, and what it says. Raises BadRequest with the path of what is wrong."""
        strict = self.services.strict
        body = data.decode(anthropic.decode_request, NO_PLACEHOLDERS if strict else anthropic.PLACEHOLDERS)
        recorded = conversation(body, data.fields, strict=strict, counting=counting)
        review(data.fields, MESSAGES, recorded.notes)
        return body, recorded


class MessageAnswer:
    """A message under way to the client."""

    def __init__(self, prepared: PreparedRequest) -> None:
        self.choices = prepared.choices
        self._prepared = prepared
        self._encoder = MessagesStream(_message(prepared.call.model), grounded=_is_grounded(prepared))

    @property
    def model(self) -> str:
        model: str = self._encoder.message["model"]
        return model

    def reader(self, choice: int) -> TurnReader:
        return TurnReader(_call_id, self._prepared.rules, self._prepared.keys, choice)

    def encoder(self) -> MessagesStream:
        return self._encoder

    def keep_alive(self, *, begun: bool) -> bytes:
        return self._encoder.keep_alive(begun=begun)

    async def whole(self, events: list[Event], *, heavy: bool) -> bytes:
        return await offload(True, self._whole, events) if heavy else self._whole(events)

    def _whole(self, events: list[Event]) -> bytes:
        if not plain_answer.complete(self._encoder.message, events):
            self._encoder.whole(events)
        return anthropic.encode(self._encoder.message)

    def reply(self, reply: Reply) -> Reply:
        return reply

    def headers(self, model: str, context: RequestContext) -> dict[str, str]:
        headers = answer_headers(model, self._prepared.notes, context.report.adjusted)
        headers["request-id"] = context.request_id
        return headers


def render_error(error: GatewayError, request_id: str) -> tuple[int, bytes]:
    """Return Anthropic's status and error object."""
    body = {"type": "error", "error": error_object(error), "request_id": request_id}
    status = error_status(error)
    return OVERLOADED if status == 503 else status, anthropic.encode(body)


def _is_grounded(prepared: PreparedRequest) -> bool:
    return any(tool.google_search is not None for tool in prepared.call.request.tools or ())


def _call_id() -> str:
    return unique("toolu_")


def _message(model: str) -> Object:
    """Return the object before it has content."""
    return {
        "id": unique("msg_"), "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                  "output_tokens": 0},
    }  # fmt: skip
