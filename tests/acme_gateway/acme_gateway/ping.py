"""An endpoint that asks Gemini: a text in, a text out."""

from typing import ClassVar

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.field_policy import FieldPolicies, Policy, review
from gateway.errors import BadRequest
from gateway.exchange.incoming.request_body import read_body
from gateway.exchange.preparation import RequestOptions
from gateway.exchange.replies.delivery import json_response
from gateway.plugin import Plugin

FIELDS = {
    "model": Policy("mapped", "by aliases and prefixes, as in chat"),
    "text": Policy("mapped", "what the user says"),
}
"""The request's fields, for the compatibility page. A field that is not here becomes a note, also in strict mode."""


class PingRequest(Struct):
    text: str
    model: str | None = None


class Pong(Struct):
    pong: str
    model: str
    finish_reason: str


decode = msgspec.json.Decoder(PingRequest).decode


class Ping(Plugin):
    """`POST /v1/ping`: Gemini's answer to a text."""

    fields: ClassVar[FieldPolicies] = {"POST /v1/ping": FIELDS}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/ping", self.create), web.post("/ping", self.create)]

    async def create(self, request: web.Request) -> web.Response:
        async with self.services.enter(request, self.name) as context:  # key, limits, log line
            data = await read_body(request)
            body = data.decode(decode)  # a field of a wrong type is a 400 with its path
            if not body.text:
                raise BadRequest("Invalid 'text': expected a text that is not empty.", param="text")
            said = ConversationBuilder("text", strict=self.services.strict)  # its history is in `text`
            said.turn("user", body.text, "text")
            review(data.fields, FIELDS, said.notes)
            prepared = await self.services.preparation.prepare(said, RequestOptions(body.model), context)
            answer = await self.services.delivery.ask(prepared, context)  # lease, retries, fallbacks, ledger
            # the finish reason is content_filter for a blocked prompt, whose text is empty
            pong = Pong(answer.text, answer.model, answer.finish_reason)
            return json_response(msgspec.json.encode(pong), answer.headers)
