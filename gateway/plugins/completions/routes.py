"""OpenAI's legacy completions, over chat."""

import asyncio
import time

from aiohttp import web

from gateway.conversation import field_policy as compat
from gateway.errors import BadRequest
from gateway.exchange.delivery import StreamReply, answered_by, json_reply, read_body
from gateway.exchange.ids import unique
from gateway.exchange.preparation import PreparedChat, ask
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import GeminiCall
from gateway.observability.request_log import REQUEST_LOG, RequestLog
from gateway.plugin import Plugin
from gateway.plugins.chat.response import Envelope
from gateway.plugins.completions import translation as completions
from gateway.plugins.completions import wire
from gateway.plugins.completions.translation import CompletionStream, completion
from gateway.policy.access import Client


class Completions(Plugin):
    """`POST /v1/completions`, unary and streamed."""

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/completions", self.create), web.post("/completions", self.create)]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer one request: prompt p's choice k is number p * n + k."""
        record = request[REQUEST_LOG]
        async with self.services.enter(request, "completions") as client:
            data = await read_body(request)
            body = data.decode(wire.decode_request)
            notes = compat.review(data.fields, completions.COMPLETIONS, self.services.config.compat)
            prompts = completions.prompts(body)
            n, most = body.n or 1, self.services.config.limits.choices
            if len(prompts) * n > most:
                raise BadRequest(
                    f"at most {most} choices, got {len(prompts) * n}", param="n", code="unsupported_value"
                )
            questions = [
                await ask(completions.to_chat(body, prompt), client, record, self.services, notes)
                for prompt in prompts
            ]
            calls = [call for question in questions for call in question.calls]
            echoes = [prompt if body.echo else "" for prompt in prompts for _ in range(n)]
            if record.stream:
                return await self._stream(request, questions[0], calls, echoes, client)
            return await self._complete(questions[0], calls, echoes, client, record)

    async def _complete(
        self,
        question: PreparedChat,
        calls: list[GeminiCall],
        echoes: list[str],
        client: Client,
        record: RequestLog,
    ) -> web.Response:
        exchange = self.services.exchange
        answers = await asyncio.gather(
            *(
                exchange.complete(call, client, record, lambda i=i: TurnReader(unique_call, base=i))  # type: ignore[misc]
                for i, call in enumerate(calls)
            )
        )
        envelope = _envelope(question.model)
        answer = completion([event for events in answers for event in events], envelope, echoes)
        return json_reply(wire.encode(answer), _headers(question, answer.model, record))

    async def _stream(
        self,
        request: web.Request,
        question: PreparedChat,
        calls: list[GeminiCall],
        echoes: list[str],
        client: Client,
    ) -> web.StreamResponse:
        record = request[REQUEST_LOG]
        envelope = _envelope(question.model)
        encoder = CompletionStream(envelope, echoes, include_usage=question.include_usage, calls=len(calls))

        def translator(base: int) -> StreamTranslator:
            return StreamTranslator(TurnReader(unique_call, base=base), encoder)

        def headers() -> dict[str, str]:
            return _headers(question, envelope.model, record)

        async with StreamReply(request, headers, self.services.config.stream) as reply:
            return await self.services.exchange.stream(calls, client, reply, record, translator)


def unique_call() -> str:
    return unique("call_")


def _envelope(model: str) -> Envelope:
    return Envelope(unique("chatcmpl-"), int(time.time()), model)


def _headers(question: PreparedChat, model: str, record: RequestLog) -> dict[str, str]:
    record.model = model
    # how little to think was our own wish, not the client's
    notes = [name for name in (*question.notes, *record.adjusted) if name != "reasoning_effort"]
    return answered_by(model, notes)
