"""OpenAI's chat completions, on every path that ends in /chat/completions."""

import time
from collections.abc import Mapping

from aiohttp import web
from msgspec import Raw, Struct

from gateway.plugin import Plugin
from gateway.policy.access import Client, identify
from gateway.record import Record
from gateway.server.ids import unique
from gateway.server.reply import RECORD, StreamReply, json_reply, read_body
from gateway.translate import chat, compat
from gateway.translate.chat_answer import ChatStream, Envelope, completion
from gateway.translate.stream import StreamTranslator
from gateway.translate.turn import TurnReader
from gateway.wire import gemini
from gateway.wire import openai_chat as openai

SUFFIX = "/chat/completions"


class _Question(Struct, frozen=True):
    """A chat request, understood."""

    call: gemini.GeminiCall
    include_usage: bool
    notes: list[str]


class Chat(Plugin):
    """`POST …/chat/completions`, unary and streamed."""

    def routes(self) -> list[web.RouteDef]:
        """The two usual paths, found at once, and any prefix before them as the ancestor allows."""
        return [
            web.post(f"/v1{SUFFIX}", self.create),
            web.post(SUFFIX, self.create),
            web.post(f"/{{prefix:.+}}{SUFFIX}", self.create),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        record = request[RECORD]
        client = identify(request.headers)
        record.client = client.fingerprint
        with self.services.admission:
            body = await read_body(request)
            question = self._understand(body.decode(openai.decode_request), body.fields, record)
            if question.call.stream:
                return await self._stream(request, question, client)
            return await self._complete(question, client, record)

    def _understand(self, body: openai.ChatRequest, fields: Mapping[str, Raw], record: Record) -> _Question:
        """Resolve the model and translate. Raises GatewayError for what cannot be asked."""
        config = self.services.config
        route = self.services.catalog.resolve(body.model)
        record.model, record.requested_model = route.model, body.model
        notes = compat.review(fields, compat.CHAT, config.compat)
        translated = chat.to_gemini(body, route.model, config.safety, config.compat)
        notes += translated.notes
        if route.substituted:
            notes.append("model")
        record.notes = notes or None
        record.stream = bool(body.stream)
        call = gemini.GeminiCall(route.model, gemini.encode_request(translated.request), record.stream)
        options = body.stream_options
        return _Question(call, bool(options and options.include_usage), notes)

    async def _complete(self, question: _Question, client: Client, record: Record) -> web.Response:
        response = await self.services.exchange.complete(question.call, client, record)
        reader = TurnReader(_call_id)
        events = reader.feed(response) + reader.close(whole=True)
        record.count(reader.usage)
        answer = completion(events, _envelope(question.call.model))
        record.model = answer.model
        return json_reply(openai.encode(answer), _headers(question, answer.model))

    async def _stream(self, request: web.Request, question: _Question, client: Client) -> web.StreamResponse:
        record = request[RECORD]
        envelope = _envelope(question.call.model)

        def translator() -> StreamTranslator:
            encoder = ChatStream(envelope, include_usage=question.include_usage)
            return StreamTranslator(TurnReader(_call_id), encoder)

        def headers() -> dict[str, str]:
            record.model = envelope.model
            return _headers(question, envelope.model)

        async with StreamReply(request, headers, self.services.config.stream) as reply:
            return await self.services.exchange.stream(question.call, client, reply, record, translator)


def _envelope(model: str) -> Envelope:
    return Envelope(unique("chatcmpl-"), int(time.time()), model)


def _call_id() -> str:
    return unique("call_")


def _headers(question: _Question, model: str) -> dict[str, str]:
    headers = {"x-gateway-model": model}
    if question.notes:
        headers["x-gateway-notes"] = ",".join(dict.fromkeys(question.notes))
    return headers
