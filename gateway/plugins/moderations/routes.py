"""OpenAI's moderations, by Gemini's own safety ratings. Off by default: each input is a call that is billed."""

import asyncio
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from gateway.conversation import field_policy as compat
from gateway.errors import GatewayError
from gateway.exchange.delivery import answered_by, json_reply, read_body
from gateway.exchange.ids import unique
from gateway.exchange.preparation import ask
from gateway.gemini.wire import decode_response, encode_request
from gateway.observability.request_log import REQUEST_LOG, RequestLog
from gateway.plugin import Plugin
from gateway.plugins.chat import wire as chat
from gateway.plugins.moderations import translation as moderations
from gateway.plugins.moderations import wire
from gateway.policy.access import Client

_AT_ONCE = 4
"""Inputs of one request under way together."""


class Moderations(Plugin):
    """`POST /v1/moderations`."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Who rates, and from when on."""

        model: Annotated[str, Meta(description="The model that is asked, whatever the client names.")] = (
            "gemini-2.5-flash-lite"
        )
        flag: Annotated[
            wire.Probability, Meta(description="Flagged from this probability of Gemini's on.")
        ] = "MEDIUM"

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/moderations", self.create), web.post("/moderations", self.create)]

    async def create(self, request: web.Request) -> web.Response:
        """Answer one request."""
        record = request[REQUEST_LOG]
        async with self.services.enter(request, "moderations") as client:
            data = await read_body(request)
            body = data.decode(wire.decode_request)
            notes = compat.review(data.fields, moderations.MODERATIONS, self.services.config.compat)
            asked = moderations.questions(body, self.config.model)
            places = asyncio.Semaphore(_AT_ONCE)
            results = await asyncio.gather(*(self._rate(one, client, record, places) for one in asked))
            record.model, record.requested_model, record.notes = self.config.model, body.model, notes or None
            answer = wire.Moderation(unique("modr-"), self.config.model, list(results))
            return json_reply(wire.encode(answer), answered_by(self.config.model, notes))

    async def _rate(
        self, asked: chat.ChatRequest, client: Client, record: RequestLog, places: asyncio.Semaphore
    ) -> wire.ModerationResult:
        async with places:
            try:
                question = await ask(asked, client, record, self.services, [])
            except GatewayError as error:
                error.param = (error.param or "input").replace("messages[0].content", "input")
                raise
            call = question.calls[0]
            exchange = self.services.exchange
            answer = await exchange.ask(
                call.path, encode_request(call.request), client, record, decode_response,
                usage=lambda answer: answer.usage_metadata, model=call.model,
            )  # fmt: skip
            if answer.usage_metadata is not None:
                record.count(answer.usage_metadata)
            return moderations.result(answer, self.config.flag)
