"""OpenAI's chat completions, on every path that ends in /chat/completions."""

import time
from collections.abc import Iterable
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from gateway.errors import BadRequest, UpstreamError
from gateway.exchange.context import RequestContext, dry_context
from gateway.exchange.delivery import answer_headers
from gateway.exchange.exchange import Reply
from gateway.exchange.ids import unique
from gateway.exchange.preparation import PreparedChat, prepare_body
from gateway.exchange.request_body import Body, read_body
from gateway.gemini.events import Event
from gateway.gemini.stream_translator import decode
from gateway.gemini.turn_reader import TurnReader
from gateway.plugin import DryRun, Plugin
from gateway.plugins.chat import wire as openai
from gateway.plugins.chat.response import ChatStream, Envelope, completion
from gateway.policy.access import Client

SUFFIX = "/chat/completions"


class Chat(Plugin):
    """`POST …/chat/completions`, whole and streamed."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """What answers contain."""

        thoughts: Annotated[
            bool, Meta(description="Ask for thought summaries even when the client did not.")
        ] = False
        grounding: Annotated[
            bool, Meta(description="Show Google's grounding metadata beside the annotations.")
        ] = False

    def routes(self) -> list[web.RouteDef]:
        """Return the two usual paths, which are found at once, and any prefix before them."""
        return [
            web.post(f"/v1{SUFFIX}", self.create),
            web.post(SUFFIX, self.create),
            web.post(f"/{{prefix:.+}}{SUFFIX}", self.create),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        async with self.services.enter(request, "chat") as context:
            prepared = await prepare_body(
                await read_body(request),
                context,
                self.services,
                thoughts=self.config.thoughts,
                grounding=self.config.grounding,
            )
            return await self.services.delivery.send(request, context, ChatAnswer(prepared))

    async def dry_run(self, body: Body, client: Client) -> DryRun:
        """Return the Gemini calls for a chat request. Raises GatewayError as `create` would."""
        context = dry_context(client)
        prepared = await prepare_body(body, context, self.services)
        notes = list(dict.fromkeys([*prepared.notes, *context.report.adjusted]))
        requests = [choice.call.request for choice in prepared.choices]
        return DryRun(prepared.call.model, prepared.call.path, requests, notes)

    def render(self, answer: bytes) -> bytes:
        """Return the chat completion for a Gemini answer. Raises BadRequest if it is not one."""
        reader = TurnReader(lambda: "call_preview")
        try:
            events = reader.feed(decode(answer)) + reader.close(whole=True, accept_empty=True)
        except UpstreamError as error:  # here the client sent it, not Google
            raise BadRequest(error.message) from None
        return openai.encode(completion(events, Envelope("chatcmpl-preview", int(time.time()), "unknown")))


class ChatAnswer:
    """A chat completion under way to the client."""

    def __init__(self, prepared: PreparedChat) -> None:
        self.choices = prepared.choices
        self._prepared = prepared
        self._envelope = Envelope(unique("chatcmpl-"), int(time.time()), prepared.call.model)

    @property
    def model(self) -> str:
        return self._envelope.model

    def reader(self, choice: int) -> TurnReader:
        return TurnReader(_call_id, self._prepared.style.rules, self._prepared.keyring, choice)

    def encoder(self) -> ChatStream:
        prepared = self._prepared
        return ChatStream(self._envelope, include_usage=prepared.include_usage, style=prepared.style)

    async def whole(self, events: Iterable[Event]) -> bytes:
        return openai.encode(completion(events, self._envelope, self._prepared.style))

    def reply(self, reply: Reply) -> Reply:
        return reply

    def headers(self, model: str, context: RequestContext) -> dict[str, str]:
        return answer_headers(model, self._prepared.notes, context.report.adjusted)


def _call_id() -> str:
    return unique("call_")
