"""OpenAI's transcriptions and translations, by Gemini's transcription model or by a chat model that hears."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from functools import partial
from typing import ClassVar

from aiohttp import web
from msgspec import Struct

from gateway.conversation.field_policy import FieldPolicies, review
from gateway.conversation.notes import Notes
from gateway.errors import BadRequest, UpstreamError, UpstreamTimeout
from gateway.exchange.context import RequestContext
from gateway.exchange.cost import CostEstimate
from gateway.exchange.delivery import answer_headers
from gateway.exchange.fallback import Choice
from gateway.exchange.final_errors import final_errors
from gateway.exchange.ids import unique
from gateway.exchange.offload import HEAVY, in_codec_thread, offload
from gateway.exchange.request_body import Body
from gateway.exchange.stream_relay import Reply
from gateway.exchange.uploaded_file import UploadedFile
from gateway.gemini.call import GeminiCall
from gateway.gemini.events import Event
from gateway.gemini.turn_reader import TurnReader
from gateway.plugin import Plugin
from gateway.plugins.transcription import wire
from gateway.plugins.transcription.fields import TRANSCRIPTIONS, TRANSLATIONS
from gateway.plugins.transcription.media import audio_type, seconds_of, wav_seconds
from gateway.plugins.transcription.request import Wish, interaction, prompt, wish
from gateway.plugins.transcription.response import (
    Transcript,
    TranscriptStream,
    as_events,
    as_hooks_left,
    body,
    content_type,
    events,
    from_events,
    from_interaction,
    usage_metadata,
)
from gateway.policy.catalog import ModelRoute
from gateway.policy.model_kinds import of_kind

_LONGEST = 900.0
"""Seconds for a whole transcription."""
_MOST = 70 * 2**20
"""Bytes of a file that fit into a request of Google's, of 100 MB in base64."""
_FORM = 2**21
"""Bytes of a form beside its file."""
_COPIES = 3
"""Copies of the file that exist at once: its bytes, base64, and the encoded request, by size."""
_BYTES_PER_SECOND = 16_000
"""Of a file whose length is unknown."""
_TOKENS_PER_SECOND = {True: 32, False: 25}
_WRITTEN_PER_SECOND = 8
"""Tokens of a transcript, with room for times."""
_LEAST_WRITTEN = 256
_BROKEN = (500, 502)
"""Statuses of a failure of Google's that is worth another attempt, beside those that nothing is billed for."""


class TranscriptionPlugin(Plugin):
    """`POST /v1/audio/transcriptions`, `POST /v1/audio/translations`."""

    fields: ClassVar[FieldPolicies] = {
        "POST /v1/audio/transcriptions": TRANSCRIPTIONS,
        "POST /v1/audio/translations": TRANSLATIONS,
    }

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/audio/transcriptions", partial(self._create, translate=False)),
            web.post("/v1/audio/translations", partial(self._create, translate=True)),
        ]

    async def _create(self, request: web.Request, *, translate: bool) -> web.StreamResponse:
        """Answer one request."""
        with final_errors():
            async with self.services.enter(request, "transcription", reads_body=False) as context:
                most = min(self.services.config.limits.body, _MOST + _FORM)
                try:
                    async with (
                        asyncio.timeout(_LONGEST),
                        self.services.form(request, ("file",), most) as form,
                    ):
                        job = await self._job(form.file("file"), form.body(wire.LISTS), context, translate)
                        return await job.run(request)
                except TimeoutError:
                    raise UpstreamTimeout(
                        f"The transcription took longer than {_LONGEST:.0f} seconds."
                    ) from None

    async def _job(
        self, file: UploadedFile, text_fields: Body, context: RequestContext, translate: bool
    ) -> "_Job":
        table = TRANSLATIONS if translate else TRANSCRIPTIONS
        fields = text_fields.decode(wire.decode_request)
        context.report.requested_model = fields.model
        route = self._route(fields.model, context, translate=translate)
        by_chat = self.services.capability_table.of(route.model).kind == "chat"
        notes = Notes(strict=self.services.strict)
        review(text_fields.fields, table, notes)
        wanted = wish(fields, notes, translate=translate, by_chat=by_chat)
        if not file.size:
            raise BadRequest("Audio file is too short: it is empty.", param="file", code="audio_too_short")
        mime_type = audio_type(file.head, file.filename)
        context.memory.take(_COPIES * file.size)
        data = await file.read()
        seconds = wav_seconds(data)
        if seconds == 0:
            raise BadRequest("Audio file is too short.", param="file", code="audio_too_short")
        if seconds is None and wanted.timed:
            seconds = await in_codec_thread(seconds_of, data, mime_type)
        audio = _Audio(data, mime_type, seconds)
        return _Job(self, context, wanted, audio, route, notes, by_chat)

    def _route(self, model: str | None, context: RequestContext, *, translate: bool) -> ModelRoute:
        """Return the model: of the kind, or a chat model that hears. Raises BadRequest for any other."""
        services = self.services
        models = services.config.models
        default = models.default if translate else models.transcription
        route = services.route(context.client, model, default, context.deployment)
        kind = services.capability_table.of(route.model).kind
        if "live" in route.model.split("-"):
            raise _not_supported(route.model, default)
        if kind == "chat" and not route.model.startswith(("gemma-", "learnlm-")):
            return route
        if translate:
            raise _not_supported(route.model, default)
        return of_kind(route, "transcription", models, services.capability_table.of)


class _Audio(Struct, frozen=True):
    data: bytes
    mime_type: str
    seconds: float | None

    @property
    def about(self) -> float:
        """Seconds, or a guess from above."""
        return self.seconds if self.seconds is not None else len(self.data) / _BYTES_PER_SECOND


class _Job:
    """One transcription: its call, and its answer."""

    def __init__(
        self,
        plugin: TranscriptionPlugin,
        context: RequestContext,
        wanted: Wish,
        audio: _Audio,
        route: ModelRoute,
        notes: Notes,
        by_chat: bool,
    ) -> None:
        self._services = plugin.services
        self._context = context
        self._wanted = wanted
        self._audio = audio
        self._model = route.model
        self._route = route
        self._notes = notes
        self._by_chat = by_chat

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Ask Gemini and return the answer."""
        wanted, context = self._wanted, self._context
        call = await self._call() if self._by_chat else None
        names = [*self._notes.distinct(), *self._route.notes]
        context.report.describe(
            self._model, context.report.requested_model or context.deployment or None,
            stream=wanted.stream, notes=names,
        )  # fmt: skip
        if context.cache:
            context.report.cached = "off"
        headers = partial(self._headers, names)
        if call is not None and call.stream:
            answer = _StreamedTranscript(self._choice(call), self._model, headers)
            return await self._services.delivery.send(request, context, answer)
        transcript = await (self._by_prompt(call) if call is not None else self._by_interaction())
        if wanted.stream:
            return await self._services.delivery.follow(
                request, context, _frames(transcript, wanted), headers
            )
        data = await offload(len(transcript.parts) > 1000, body, transcript, wanted)
        return web.Response(body=data, headers={"Content-Type": content_type(wanted.form), **headers()})

    async def _by_interaction(self) -> Transcript:
        data = await in_codec_thread(_encoded, self._model, self._wanted, self._audio)
        try:
            answer = await self._ask(data)
        except UpstreamError as error:
            if error.upstream_status not in _BROKEN:
                raise
            answer = await self._ask(data)
        transcript = from_interaction(answer, self._audio.seconds)
        if self._context.hooks is None:
            return transcript
        seen = await self._context.hooks.whole(as_events(transcript), 0, self._model, self._context)
        return as_hooks_left(transcript, seen)

    async def _ask(self, data: bytes) -> wire.Interaction:
        return await self._services.exchange.ask(
            "interactions", data, self._context, wire.decode_interaction,
            usage=usage_metadata, model=self._model, cost=self._cost(), once=True,
        )  # fmt: skip

    async def _by_prompt(self, call: GeminiCall) -> Transcript:
        written = await self._services.exchange.complete(
            [self._choice(call)], self._context, lambda _: _reader()
        )
        return from_events(written, self._wanted, self._audio.seconds)

    async def _call(self) -> GeminiCall:
        capabilities = self._services.exchange.accounting.capabilities(self._model)
        data = await in_codec_thread(_base64, self._audio.data)
        request = prompt(
            self._model,
            self._wanted,
            data,
            self._audio.mime_type,
            capabilities,
            self._services.safety,
            self._notes,
        )
        stream = self._wanted.stream and not self._wanted.timed
        call = GeminiCall(self._model, request, stream, len(data) > HEAVY)
        return await self._context.hooks.call(call, self._context) if self._context.hooks else call

    def _cost(self) -> CostEstimate:
        seconds = self._audio.about
        heard = int(seconds * _TOKENS_PER_SECOND[self._by_chat]) + 1
        written = max(_LEAST_WRITTEN, int(seconds * _WRITTEN_PER_SECOND))
        return CostEstimate(4 * heard, written, heard + _LEAST_WRITTEN, heard)

    def _choice(self, call: GeminiCall) -> Choice:
        return Choice(call, cacheable=False, once=True, cost=self._cost())

    def _headers(self, names: list[str]) -> dict[str, str]:
        report = self._context.report
        return answer_headers(report.model or self._model, names, report.adjusted)


class _StreamedTranscript:
    """A transcript of a chat model under way to the client."""

    def __init__(self, choice: Choice, model: str, headers: "partial[dict[str, str]]") -> None:
        self.choices = [choice]
        self.model = model
        self._own_headers = headers

    def reader(self, choice: int) -> TurnReader:
        return _reader()

    def encoder(self) -> TranscriptStream:
        return TranscriptStream()

    async def whole(self, events: list[Event], *, heavy: bool) -> bytes:
        raise NotImplementedError

    def reply(self, reply: Reply) -> Reply:
        return reply

    def headers(self, model: str, context: RequestContext) -> dict[str, str]:
        return self._own_headers()


async def _frames(transcript: Transcript, wanted: Wish) -> AsyncIterator[bytes]:
    for frame in events(transcript, wanted):
        yield frame


def _encoded(model: str, wanted: Wish, audio: _Audio) -> bytes:
    return wire.encode(interaction(model, wanted, _base64(audio.data), audio.mime_type))


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _reader() -> TurnReader:
    return TurnReader(partial(unique, "call_"))


def _not_supported(model: str, default: str) -> BadRequest:
    return BadRequest(
        f"The model `{model[:80]}` does not transcribe audio. Use a model that does, such as `{default}`.",
        param="model",
        code="model_not_supported",
    )
