"""OpenAI's moderations by Gemini's safety ratings. Off by default: each input is a call that Google bills."""

import asyncio
from typing import Annotated, ClassVar

from aiohttp import web
from msgspec import Meta, Struct

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.field_policy import FieldPolicies, review
from gateway.conversation.notes import Notes
from gateway.exchange.context import RequestContext
from gateway.exchange.ids import unique
from gateway.exchange.incoming.request_body import Body, read_body
from gateway.exchange.offload import offload
from gateway.exchange.preparation import RequestOptions
from gateway.exchange.replies.delivery import answer_headers, json_response
from gateway.exchange.side_by_side import side_by_side
from gateway.gemini.wire import decode_response
from gateway.plugin import Plugin
from gateway.plugins.moderations import wire
from gateway.plugins.moderations.fields import MODERATIONS
from gateway.plugins.moderations.request import conversations
from gateway.plugins.moderations.response import result
from gateway.policy.models.catalog import check_length

_AT_ONCE = 4
"""Inputs of one request that are rated at the same time."""


class Moderations(Plugin):
    """`POST /v1/moderations`."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.moderations`."""

        model: Annotated[str, Meta(description="The model that is asked, whatever the client names.")] = (
            "gemini-2.5-flash-lite"
        )
        flag: Annotated[
            wire.Probability, Meta(description="Flagged from this probability of Gemini's on.")
        ] = "MEDIUM"

    fields: ClassVar[FieldPolicies] = {"POST /v1/moderations": MODERATIONS}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/moderations", self.create)]

    async def create(self, request: web.Request) -> web.Response:
        """Answer one request."""
        async with self.services.enter(request, "moderations") as context:
            encoded, notes = await self._rated(await read_body(request), context)
            return json_response(encoded, answer_headers(self.config.model, notes))

    async def answer_body(self, body: Body, context: RequestContext) -> bytes:
        """Return the ratings of a body's inputs. Raises GatewayError as `create` would."""
        return (await self._rated(body, context))[0]

    async def _rated(self, data: Body, context: RequestContext) -> tuple[bytes, list[str]]:
        """Return the answer to a body, and the fields that were not honoured."""
        body, notes, recorded = await offload(data.heavy, self._read, data)
        await self.services.exchange.accounting.take_calls(context, len(recorded))
        places = asyncio.Semaphore(_AT_ONCE)
        options = RequestOptions(self.config.model, heavy=data.heavy)
        results = await side_by_side([self._rate(each, options, context, places) for each in recorded])
        context.report.describe(self.config.model, body.model, notes=notes)
        answer = wire.Moderation(unique("modr-"), self.config.model, results)
        return wire.encode(answer), notes

    def _read(self, data: Body) -> tuple[wire.ModerationRequest, list[str], list[ConversationBuilder]]:
        """Return a body, what is noted of it, and its inputs. Raises BadRequest with the path of what is wrong."""
        body = data.decode(wire.decode_request)
        check_length(body.model)
        notes = Notes(strict=self.services.strict)
        review(data.fields, MODERATIONS, notes)
        return body, notes.distinct(), conversations(body)

    async def _rate(
        self,
        recorded: ConversationBuilder,
        options: RequestOptions,
        context: RequestContext,
        places: asyncio.Semaphore,
    ) -> wire.ModerationResult:
        async with places:
            call = (await self.services.preparation.prepare(recorded, options, context)).call
            expected = call.expected_size
            context.memory.take_encoded(expected)
            encoded = await offload(call.heavy, call.encode)
            context.memory.correct_encoded(expected, len(encoded))
            answer = await self.services.exchange.ask(
                call.path, encoded, context, decode_response,
                usage=lambda answer: answer.usage_metadata, model=call.model,
                cost=self.services.exchange.accounting.ceiling(call),
            )  # fmt: skip
            context.memory.covered += len(encoded)
            return result(answer, self.config.flag)
