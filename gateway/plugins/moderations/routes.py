"""OpenAI's moderations by Gemini's safety ratings. Off by default: each input is a call that Google bills."""

import asyncio
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from gateway.conversation import field_policy
from gateway.errors import GatewayError
from gateway.exchange.context import RequestContext
from gateway.exchange.delivery import answer_headers, json_response
from gateway.exchange.ids import unique
from gateway.exchange.preparation import prepare
from gateway.exchange.request_body import read_body
from gateway.gemini.wire import decode_response
from gateway.plugin import Plugin
from gateway.plugins.chat import wire as chat
from gateway.plugins.moderations import translation as moderations
from gateway.plugins.moderations import wire

_AT_ONCE = 4
"""Inputs of one request that are rated at the same time."""


class Moderations(Plugin):
    """`POST /v1/moderations`."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Which model rates, and what is flagged."""

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
        async with self.services.enter(request, "moderations") as context:
            data = await read_body(request)
            body = data.decode(wire.decode_request)
            notes = field_policy.review(data.fields, moderations.MODERATIONS, self.services.config.compat)
            inputs = moderations.questions(body, self.config.model)
            places = asyncio.Semaphore(_AT_ONCE)
            results = await asyncio.gather(*(self._rate(chat, context, places) for chat in inputs))
            context.report.describe(self.config.model, body.model, notes=notes)
            answer = wire.Moderation(unique("modr-"), self.config.model, list(results))
            return json_response(wire.encode(answer), answer_headers(self.config.model, notes))

    async def _rate(
        self, body: chat.ChatRequest, context: RequestContext, places: asyncio.Semaphore
    ) -> wire.ModerationResult:
        async with places:
            try:
                prepared = await prepare(body, context, self.services, [])
            except GatewayError as error:
                error.param = (error.param or "input").replace("messages[0].content", "input")
                raise
            call = prepared.call
            answer = await self.services.exchange.ask(
                call.path, call.encode(), context, decode_response,
                usage=lambda answer: answer.usage_metadata, model=call.model,
            )  # fmt: skip
            return moderations.result(answer, self.config.flag)
