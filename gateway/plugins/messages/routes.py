"""Anthropic's Messages, over the same core as chat."""

import re

from aiohttp import web

from gateway.conversation import field_policy as compat
from gateway.errors import GatewayError, retry_headers
from gateway.exchange.delivery import ERROR_REPLY, ErrorReply, StreamReply, answered_by, json_reply, read_body
from gateway.exchange.ids import unique
from gateway.exchange.preparation import PreparedChat, ask
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.observability.request_log import REQUEST_LOG, RequestLog
from gateway.plugin import Plugin
from gateway.plugins.messages import request as messages
from gateway.plugins.messages import wire as anthropic
from gateway.plugins.messages.response import OVERLOADED, MessagesStream, Object, error_object
from gateway.policy.access import Client

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
        request[ERROR_REPLY] = _errors(request[REQUEST_LOG])
        record = request[REQUEST_LOG]
        async with self.services.enter(request, "messages") as client:
            question = await self._understand(request, client, counting=False)
            if record.stream:
                return await self._stream(request, question, client)
            return await self._complete(question, client, record)

    async def count(self, request: web.Request) -> web.Response:
        """How many tokens a request would bring."""
        request[ERROR_REPLY] = _errors(request[REQUEST_LOG])
        async with self.services.enter(request, "messages") as client:
            question = await self._understand(request, client, counting=True)
            tokens = await self.services.exchange.count(question.calls[0], client, request[REQUEST_LOG])
        return json_reply(anthropic.encode({"input_tokens": tokens}), {})

    async def _understand(self, request: web.Request, client: Client, *, counting: bool) -> PreparedChat:
        data = await read_body(request)
        body = data.decode(anthropic.decode_request)
        notes = compat.review(data.fields, messages.MESSAGES, self.services.config.compat)
        asked = messages.to_chat(body, counting=counting)
        try:
            return await ask(
                asked.body,
                client,
                request[REQUEST_LOG],
                self.services,
                [*notes, *asked.notes],
                heavy=data.heavy,
            )
        except GatewayError as error:
            error.param = _origin(error.param, asked.origins)
            raise

    async def _complete(self, question: PreparedChat, client: Client, record: RequestLog) -> web.Response:
        exchange = self.services.exchange
        events = await exchange.complete(question.calls[0], client, record, lambda: _reader(question))
        encoder = MessagesStream(_message(question.model))
        encoder.encode(events)
        model = encoder.message["model"]
        return json_reply(anthropic.encode(encoder.message), _headers(question, model, record))

    async def _stream(
        self, request: web.Request, question: PreparedChat, client: Client
    ) -> web.StreamResponse:
        record = request[REQUEST_LOG]
        encoder = MessagesStream(_message(question.model))

        def translator(_: int) -> StreamTranslator:
            return StreamTranslator(_reader(question), encoder)

        def headers() -> dict[str, str]:
            return _headers(question, encoder.message["model"], record)

        async with StreamReply(request, headers, self.services.config.stream) as reply:
            return await self.services.exchange.stream(question.calls, client, reply, record, translator)


def _errors(record: RequestLog) -> ErrorReply:
    """Anthropic's error object, with its request id."""

    def reply(error: GatewayError) -> web.Response:
        body = {"type": "error", "error": error_object(error), "request_id": record.request_id}
        status = OVERLOADED if error.status == 503 else error.status
        return json_reply(anthropic.encode(body), retry_headers(error), status)

    return reply


def _reader(question: PreparedChat) -> TurnReader:
    return TurnReader(lambda: unique("toolu_"), question.style.rules, question.keyring)


def _message(model: str) -> Object:
    """The object before anything was said."""
    return {
        "id": unique("msg_"), "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                  "output_tokens": 0},
    }  # fmt: skip


def _headers(question: PreparedChat, model: str, record: RequestLog) -> dict[str, str]:
    record.model = model
    return {**answered_by(model, question.notes, record.adjusted), "request-id": record.request_id}


def _origin(param: str | None, origins: list[str]) -> str | None:
    """A chat message's path as Anthropic's path of the block it came from."""
    found = _AT.match(param or "")
    if param is None or found is None or int(found[1]) >= len(origins):
        return param
    return origins[int(found[1])] + _STEP.sub(r".\1", param[found.end() :])
