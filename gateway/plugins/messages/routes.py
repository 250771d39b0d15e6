"""Anthropic's Messages, over the same core as chat."""

import re

from aiohttp import web

from gateway.conversation import field_policy
from gateway.errors import GatewayError
from gateway.exchange.context import RequestContext
from gateway.exchange.delivery import answer_headers, json_response
from gateway.exchange.exchange import Reply
from gateway.exchange.ids import unique
from gateway.exchange.offload import offload
from gateway.exchange.preparation import PreparedChat, prepare
from gateway.exchange.request_body import read_body
from gateway.gemini.events import Event
from gateway.gemini.turn_reader import TurnReader
from gateway.plugin import Plugin
from gateway.plugins.messages import request as messages
from gateway.plugins.messages import wire as anthropic
from gateway.plugins.messages.response import OVERLOADED, MessagesStream, Object, error_object

_AT = re.compile(r"messages\[(\d+)\]")
_STEP = re.compile(r"\[(\d+)\]")


class Messages(Plugin):
    """`POST /v1/messages` and `/v1/messages/count_tokens`."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/messages", self.create),
            web.post("/v1/messages/count_tokens", self.count),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, whole or in events."""
        async with self.services.enter(request, "messages", render_error) as context:
            prepared = await self._prepare(request, context, counting=False)
            return await self.services.delivery.send(request, context, MessageAnswer(prepared))

    async def count(self, request: web.Request) -> web.Response:
        """Return the input tokens of a request."""
        async with self.services.enter(request, "messages", render_error) as context:
            prepared = await self._prepare(request, context, counting=True)
            tokens = await self.services.exchange.count(prepared.call, context)
        return json_response(anthropic.encode({"input_tokens": tokens}), {})

    async def _prepare(
        self, request: web.Request, context: RequestContext, *, counting: bool
    ) -> PreparedChat:
        data = await read_body(request)
        body = await offload(data.heavy, data.decode, anthropic.decode_request)
        notes = field_policy.review(data.fields, messages.MESSAGES, self.services.config.compat)
        chat = await offload(data.heavy, lambda: messages.to_chat(body, counting=counting))
        try:
            return await prepare(chat.body, context, self.services, [*notes, *chat.notes], heavy=data.heavy)
        except GatewayError as error:
            error.param = _origin(error.param, chat.origins)
            raise


class MessageAnswer:
    """A message under way to the client."""

    def __init__(self, prepared: PreparedChat) -> None:
        self.choices = prepared.choices
        self._prepared = prepared
        self._encoder = MessagesStream(_message(prepared.call.model))

    @property
    def model(self) -> str:
        model: str = self._encoder.message["model"]
        return model

    def reader(self, choice: int) -> TurnReader:
        return TurnReader(_call_id, self._prepared.style.rules, self._prepared.keyring, choice)

    def encoder(self) -> MessagesStream:
        return self._encoder

    async def whole(self, events: list[Event]) -> bytes:
        self._encoder.encode(events)
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
    return OVERLOADED if error.status == 503 else error.status, anthropic.encode(body)


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


def _origin(param: str | None, origins: list[str]) -> str | None:
    """Return a chat message's path as Anthropic's path of the block that it came from."""
    message = _AT.match(param or "")
    if param is None or message is None or int(message[1]) >= len(origins):
        return param
    return origins[int(message[1])] + _STEP.sub(r".\1", param[message.end() :])
