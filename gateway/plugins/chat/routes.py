"""OpenAI's chat completions, on every path that ends in /chat/completions."""

import asyncio
import time
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from gateway.errors import BadRequest, UpstreamError
from gateway.exchange.delivery import Body, StreamReply, answered_by, json_reply, read_body
from gateway.exchange.ids import unique
from gateway.exchange.preparation import PreparedChat, prepare_body
from gateway.gemini.stream_translator import StreamTranslator, decode
from gateway.gemini.turn_reader import TurnReader
from gateway.observability.request_log import REQUEST_LOG, RequestLog
from gateway.plugin import DryRun, Plugin
from gateway.plugins.chat import wire as openai
from gateway.plugins.chat.response import ChatStream, Envelope, completion
from gateway.policy.access import Client

SUFFIX = "/chat/completions"


class Chat(Plugin):
    """`POST …/chat/completions`, unary and streamed."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """How answers are told."""

        thoughts: Annotated[
            bool, Meta(description="Ask for thought summaries even when the client did not.")
        ] = False
        grounding: Annotated[
            bool, Meta(description="Show Google's grounding metadata beside the annotations.")
        ] = False

    def routes(self) -> list[web.RouteDef]:
        """The two usual paths, found at once, and any prefix before them as the ancestor allows."""
        return [
            web.post(f"/v1{SUFFIX}", self.create),
            web.post(SUFFIX, self.create),
            web.post(f"/{{prefix:.+}}{SUFFIX}", self.create),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        record = request[REQUEST_LOG]
        async with self.services.enter(request, "chat") as client:
            question = await prepare_body(
                await read_body(request),
                client,
                record,
                self.services,
                thoughts=self.config.thoughts,
                grounding=self.config.grounding,
            )
            if record.stream:
                return await self._stream(request, question, client)
            return await self._complete(question, client, record)

    async def dry_run(self, body: Body, client: Client) -> DryRun:
        """Return the Gemini calls for a chat request. Raises GatewayError as `create` would."""
        record = RequestLog("", "", "")
        question = await prepare_body(body, client, record, self.services)
        notes = list(dict.fromkeys([*question.notes, *record.adjusted]))
        return DryRun(
            question.model, question.calls[0].path, [call.request for call in question.calls], notes
        )

    def render(self, answer: bytes) -> bytes:
        """Return the chat completion for a Gemini answer. Raises BadRequest if it is not one."""
        reader = TurnReader(lambda: "call_preview")
        try:
            events = reader.feed(decode(answer)) + reader.close(whole=True, accept_empty=True)
        except UpstreamError as error:  # here the client sent it, not Google
            raise BadRequest(error.message) from None
        return openai.encode(completion(events, Envelope("chatcmpl-preview", int(time.time()), "unknown")))

    async def _complete(self, question: PreparedChat, client: Client, record: RequestLog) -> web.Response:
        exchange = self.services.exchange

        def reader(base: int) -> TurnReader:
            return TurnReader(_call_id, question.style.rules, question.keyring, base)

        if len(question.calls) == 1:
            events = await exchange.complete(question.calls[0], client, record, lambda: reader(0))
        else:
            answers = await asyncio.gather(
                *(
                    exchange.complete(call, client, record, lambda i=i: reader(i))  # type: ignore[misc]
                    for i, call in enumerate(question.calls)
                )
            )
            events = [event for answer in answers for event in answer]
        answer = completion(events, _envelope(question.model), question.style)
        record.model = answer.model
        return json_reply(openai.encode(answer), _headers(question, answer.model, record))

    async def _stream(
        self, request: web.Request, question: PreparedChat, client: Client
    ) -> web.StreamResponse:
        record = request[REQUEST_LOG]
        envelope = _envelope(question.model)
        encoder = ChatStream(envelope, include_usage=question.include_usage, style=question.style)

        def translator(base: int) -> StreamTranslator:
            return StreamTranslator(
                TurnReader(_call_id, question.style.rules, question.keyring, base), encoder
            )

        def headers() -> dict[str, str]:
            record.model = envelope.model
            return _headers(question, envelope.model, record)

        async with StreamReply(request, headers, self.services.config.stream) as reply:
            return await self.services.exchange.stream(question.calls, client, reply, record, translator)


def _envelope(model: str) -> Envelope:
    return Envelope(unique("chatcmpl-"), int(time.time()), model)


def _call_id() -> str:
    return unique("call_")


def _headers(question: PreparedChat, model: str, record: RequestLog) -> dict[str, str]:
    return answered_by(model, question.notes, record.adjusted)
