"""OpenAI's legacy completions, over chat."""

import time
from collections.abc import Iterable

from aiohttp import web

from gateway.conversation import field_policy
from gateway.errors import BadRequest
from gateway.exchange.context import RequestContext
from gateway.exchange.delivery import answer_headers
from gateway.exchange.exchange import Reply
from gateway.exchange.fallback import Choice
from gateway.exchange.ids import unique
from gateway.exchange.preparation import PreparedChat, prepare
from gateway.exchange.request_body import read_body
from gateway.gemini.events import Event
from gateway.gemini.turn_reader import TurnReader
from gateway.plugin import Plugin
from gateway.plugins.chat.response import Envelope
from gateway.plugins.completions import translation as completions
from gateway.plugins.completions import wire
from gateway.plugins.completions.translation import CompletionStream, completion


class Completions(Plugin):
    """`POST /v1/completions`, whole and streamed."""

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/completions", self.create), web.post("/completions", self.create)]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer one request. Choice k of prompt p is number p * n + k, as in OpenAI's API."""
        async with self.services.enter(request, "completions") as context:
            data = await read_body(request)
            body = data.decode(wire.decode_request)
            notes = field_policy.review(data.fields, completions.COMPLETIONS, self.services.config.compat)
            prompts = completions.prompts(body)
            n, most = body.n or 1, self.services.config.limits.choices
            if len(prompts) * n > most:
                raise BadRequest(
                    f"at most {most} choices, got {len(prompts) * n}", param="n", code="unsupported_value"
                )
            prepared = [
                await prepare(completions.to_chat(body, prompt), context, self.services, notes)
                for prompt in prompts
            ]
            echoes = [prompt if body.echo else "" for prompt in prompts for _ in range(n)]
            return await self.services.delivery.send(request, context, CompletionAnswer(prepared, echoes))


class CompletionAnswer:
    """A legacy completion under way to the client."""

    def __init__(self, prepared: list[PreparedChat], echoes: list[str]) -> None:
        self.choices: list[Choice] = [choice for chat in prepared for choice in chat.choices]
        self._first = prepared[0]
        self._echoes = echoes
        self._envelope = Envelope(unique("chatcmpl-"), int(time.time()), self._first.call.model)

    @property
    def model(self) -> str:
        return self._envelope.model

    def reader(self, choice: int) -> TurnReader:
        return TurnReader(_call_id, base=choice)

    def encoder(self) -> CompletionStream:
        return CompletionStream(
            self._envelope,
            self._echoes,
            include_usage=self._first.include_usage,
            calls=len(self.choices),
        )

    async def whole(self, events: Iterable[Event]) -> bytes:
        return wire.encode(completion(events, self._envelope, self._echoes))

    def reply(self, reply: Reply) -> Reply:
        return reply

    def headers(self, model: str, context: RequestContext) -> dict[str, str]:
        # the client did not ask for little reasoning: the translation did
        names = [*self._first.notes, *context.report.adjusted]
        return answer_headers(model, [name for name in names if name != "reasoning_effort"])


def _call_id() -> str:
    return unique("call_")
