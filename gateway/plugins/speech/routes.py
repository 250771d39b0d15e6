"""OpenAI's speech endpoint over Gemini's speech models, and the lists that Open WebUI asks for."""

import asyncio
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from aiohttp import web
from msgspec import Meta, Struct

from gateway.conversation.field_policy import FieldPolicies, review
from gateway.conversation.notes import Notes
from gateway.conversation.voices import is_listed, names, unknown_voice
from gateway.errors import BadRequest, GatewayError, UpstreamTimeout
from gateway.exchange.calls.cost import CostEstimate
from gateway.exchange.calls.fallback import Choice
from gateway.exchange.context import RequestContext
from gateway.exchange.ids import unique
from gateway.exchange.incoming.request_body import Body, read_body
from gateway.exchange.offload import HEAVY, HEAVY_ANSWER, in_codec_thread, offload
from gateway.exchange.replies.delivery import answer_headers, json_response
from gateway.exchange.replies.final_errors import final_errors
from gateway.exchange.side_by_side import end_all
from gateway.gemini.audio import Sound
from gateway.gemini.audio_encoder import FORMATS, encode, is_available
from gateway.gemini.call import GeminiCall
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.usage import TokenCounts
from gateway.gemini.wire import GenerateContentRequest
from gateway.plugin import Plugin, Services
from gateway.plugins.speech import wire
from gateway.plugins.speech.fields import SPEECH
from gateway.plugins.speech.reply import SpeechReply
from gateway.plugins.speech.request import MOST, Speech, SpeechOptions, SpeechOrigins, said_again, speech
from gateway.plugins.speech.response import NoAudioError, counts_of, model_of, silence, sound_of

_AT_ONCE = 2
"""Pieces of a long text that are spoken at the same time."""
_LONGEST = 300.0
"""Seconds for a whole speech."""
_TOKENS_PER_CHARACTER = 2
"""Of audio, at 25 tokens a second."""
_MOST_INPUT = 4
"""Tokens of a character of the text at most: one for each byte."""
_COPIES = 3
"""Copies of the samples that exist at once: joined, encoded, and on their way to the client."""
_TEXT_REFUSED = "Model tried to generate text"
"""Beginning of Google's message when a model before gemini-3.8 would answer the text rather than speak it."""
_MODELS = ("gemini-3.8-flash-lite-tts", "gemini-3.8-flash-tts")


class SpeechPlugin(Plugin):
    """`POST /v1/audio/speech`, `GET /v1/audio/voices`, `GET /v1/audio/models`."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.speech`."""

        voices: Annotated[
            dict[str, Annotated[str, Meta(min_length=1, max_length=256)]],
            Meta(description="Further names of voices, and others for OpenAI's, such as `nova: Zephyr`."),
        ] = {}
        without_encoder: Annotated[
            Literal["wav", "refuse"],
            Meta(
                description="Where the extra `audio` is not installed, answer other formats as WAV with a note, "
                "or refuse them."
            ),
        ] = "wav"
        most: Annotated[
            int, Meta(ge=1, le=1_000_000, description="Most characters of a text; longer ones are refused.")
        ] = MOST

    fields: ClassVar[FieldPolicies] = {"POST /v1/audio/speech": SPEECH}

    def __init__(self, config: Any, services: Services) -> None:
        super().__init__(config, services)
        own = {name.lower(): voice for name, voice in config.voices.items()}
        blocks = any(setting.threshold != "BLOCK_NONE" for setting in services.safety)
        safety = list(services.safety) if blocks else None  # speech models block nothing by themselves
        self._options = SpeechOptions(
            own, config.most, config.without_encoder == "refuse", is_available(), safety
        )

    def check(self) -> None:
        """Raise ValueError for names of voices that are one in lower case."""
        if len(self._options.voices) < len(self.config.voices):
            raise ValueError("`voices` has a name twice: upper and lower case are the same")

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/audio/speech", self.create),
            web.get("/v1/audio/voices", self.list_voices),
            web.get("/v1/audio/models", self.list_models),
        ]

    async def list_voices(self, request: web.Request) -> web.Response:
        """Return the names of voices. Open WebUI asks without a key, and they are no secret."""
        voices = [wire.Voice(name, label) for name, label in names(self.config.voices).items()]
        return json_response(wire.encode(wire.VoiceList(voices)), {})

    async def list_models(self, request: web.Request) -> web.Response:
        """Return the speech models, the default first. Open WebUI asks without a key."""
        models = dict.fromkeys([self.services.config.models.speech, *_MODELS])
        return json_response(wire.encode(wire.ModelList([wire.Model(name) for name in models])), {})

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        with final_errors():
            async with self.services.enter(request, "speech") as context:
                body = await read_body(request)
                try:
                    async with asyncio.timeout(_LONGEST):
                        return await self._answer(request, body, context)
                except TimeoutError:
                    raise UpstreamTimeout(f"The speech took longer than {_LONGEST:.0f} seconds.") from None

    async def _answer(self, request: web.Request, body: Body, context: RequestContext) -> web.StreamResponse:
        fields = await offload(body.heavy, body.decode, wire.decode_request)
        report, client = context.report, context.client
        report.requested_model = fields.model
        route = self.services.route_of_kind(client, fields.model, "speech", context.deployment)
        capabilities = self.services.exchange.accounting.capabilities(route.model)
        notes = Notes(strict=self.services.strict)
        review(body.fields, SPEECH, notes)
        plan = await offload(body.heavy, speech, fields, capabilities, self._options, notes)
        names_of_fields = [*notes.distinct(), *route.notes]
        report.describe(
            route.model,
            fields.model or context.deployment or None,
            stream=plan.stream is not None,
            notes=names_of_fields,
        )
        if context.cache:
            report.cached = "off"
        await self.services.exchange.accounting.take_calls(context, len(plan.requests))
        run = _Run(self.services, context, capabilities, plan, route.model, names_of_fields)
        try:
            return await (run.stream(request) if plan.stream else run.whole())
        except BadRequest as error:
            if error.upstream_status == 400 and not is_listed(fields.voice, self.config.voices):
                raise unknown_voice("voice", self.config.voices) from None
            raise


class _Spoken(Struct, frozen=True):
    """A piece of the text as sound."""

    sound: Sound
    counts: TokenCounts
    model: str | None


class _Run:
    """One request: its calls, and its answer."""

    def __init__(
        self,
        services: Services,
        context: RequestContext,
        capabilities: Capabilities,
        plan: Speech,
        model: str,
        notes: list[str],
    ) -> None:
        self._exchange = services.exchange
        self._context = context
        self._capabilities = capabilities
        self._plan = plan
        self._model = model
        self._notes = notes
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def whole(self) -> web.Response:
        """Return the whole speech."""
        tasks = [asyncio.create_task(self._spoken(i)) for i in range(len(self._plan.requests))]
        try:
            spoken = await asyncio.gather(*tasks)
        finally:
            await end_all(tasks)
        sounds = [each.sound for each in spoken]
        plan, rate = self._plan, sounds[0].rate
        self._context.memory.take(_COPIES * sum(len(each.samples) for each in sounds))
        samples = sounds[0].samples if len(sounds) == 1 else b"".join(each.samples for each in sounds)
        data = await in_codec_thread(encode, Sound(samples, rate), plan.form, plan.speed)
        self._note_model(spoken[0].model)
        return web.Response(
            body=data, headers={"Content-Type": FORMATS[plan.form].content_type, **self._headers()}
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Stream the speech: a single call as Gemini streams it, several piece by piece."""
        plan = self._plan
        reply = SpeechReply(
            request, self._context, self._headers, plan.form, plan.speed, plan.stream or "audio"
        )
        if len(plan.requests) == 1 and self._capabilities.streams_audio:
            return await self._relay(reply)
        tasks = [asyncio.create_task(self._spoken(i)) for i in range(len(plan.requests))]
        try:
            for task in tasks:
                spoken = await task
                if not reply.begun:
                    self._note_model(spoken.model)
                reply.sound.rate = reply.sound.rate or spoken.sound.rate
                reply.counts.append(spoken.counts)
                await reply.write(spoken.sound.samples)
        except GatewayError as error:
            if not reply.begun:
                raise
            self._context.report.fail(error)
            reply.sound.error = error
        finally:
            await end_all(tasks)
        return await reply.finish()

    async def _relay(self, reply: SpeechReply) -> web.StreamResponse:
        """Stream one call. An answer without sound is asked for once more."""
        call = await self._call(self._plan.requests[0], stream=True)
        for is_last in (False, True):
            try:
                response = await self._exchange.stream(
                    [self._choice(call, 0)],
                    self._context,
                    reply,
                    lambda _: StreamTranslator(_reader(), reply.new_sound()),
                )
            except BadRequest as error:
                call = await self._again(call, error, is_last=is_last)
                continue
            if reply.begun:
                return response
            fault = reply.sound.error or silence(reply.sound.events)
            if is_last or not isinstance(fault, NoAudioError):
                raise fault
        raise AssertionError

    async def _spoken(self, number: int) -> _Spoken:
        """Return one piece of the text. An answer without sound is asked for once more."""
        async with self._places:
            call, report = await self._call(self._plan.requests[number]), self._context.report
            for is_last in (False, True):
                try:
                    events = await self._exchange.complete(
                        [self._choice(call, number)], self._context, lambda _: _reader()
                    )
                    sound = await offload(report.answer_bytes > HEAVY_ANSWER, sound_of, events)
                except NoAudioError:
                    if is_last:
                        raise
                except BadRequest as error:
                    call = await self._again(call, error, is_last=is_last)
                else:
                    return _Spoken(sound, counts_of(events), model_of(events))
        raise AssertionError

    async def _call(self, request: GenerateContentRequest, *, stream: bool = False) -> GeminiCall:
        heavy = sum(self._plan.characters) > HEAVY
        call = GeminiCall(self._model, request, stream, heavy, origins=SpeechOrigins())
        return await self._context.hooks.call(call, self._context) if self._context.hooks else call

    async def _again(self, call: GeminiCall, error: BadRequest, *, is_last: bool) -> GeminiCall:
        """Return the call that asks a model before gemini-3.8 to speak its text, or raise the error."""
        request = said_again(call.request)
        known = error.upstream_status == 400 and error.message.startswith(_TEXT_REFUSED)
        if is_last or not known or self._capabilities.spoken_style or request is None:
            raise error
        return call.with_request(request)

    def _choice(self, call: GeminiCall, number: int) -> Choice:
        characters = self._plan.characters[number]
        cost = CostEstimate(characters, _TOKENS_PER_CHARACTER * characters, _MOST_INPUT * characters)
        return Choice(call, cacheable=False, once=True, cost=cost)

    def _note_model(self, model: str | None) -> None:
        self._context.report.model = model or self._model

    def _headers(self) -> dict[str, str]:
        report = self._context.report
        return answer_headers(report.model or self._model, self._notes, report.adjusted)


def _reader() -> TurnReader:
    return TurnReader(partial(unique, "call_"))
