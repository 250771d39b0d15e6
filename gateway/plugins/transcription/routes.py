"""OpenAI's transcriptions and translations, by Gemini's transcription model or by a chat model that hears."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, ClassVar

from aiohttp import web

from gateway.conversation.field_policy import FieldPolicies, review
from gateway.conversation.notes import Notes
from gateway.errors import BadRequest, UpstreamError, UpstreamTimeout
from gateway.exchange.calls.cost import CostEstimate
from gateway.exchange.calls.fallback import Choice
from gateway.exchange.context import RequestContext
from gateway.exchange.ids import unique
from gateway.exchange.incoming.multipart import Form
from gateway.exchange.offload import HEAVY, in_codec_thread, offload
from gateway.exchange.replies.delivery import answer_headers
from gateway.exchange.replies.final_errors import final_errors
from gateway.exchange.replies.stream_relay import Reply
from gateway.gemini.base64_text import encoded, encoded_json
from gateway.gemini.call import GeminiCall
from gateway.gemini.events import Event
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import Blob, FileData, Part
from gateway.plugin import Plugin, Services
from gateway.plugins.transcription import wire
from gateway.plugins.transcription.fields import TRANSCRIPTIONS, TRANSLATIONS
from gateway.plugins.transcription.recordings import INLINE, Recording, Recordings
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
from gateway.policy.models.catalog import ModelRoute
from gateway.policy.models.model_kinds import of_kind
from gateway.policy.pool.errors import NotOnVertex

_LONGEST = 900.0
"""Seconds for a whole transcription."""
_MOST = 2 * 2**30
"""Bytes of a file of Google's (https://ai.google.dev/gemini-api/docs/files)."""
_FORM = 2**21
"""Bytes of a form beside its file."""
_TOKENS_PER_SECOND = {True: 32, False: 25}
_WRITTEN_PER_SECOND = 8
"""Tokens of a transcript, with room for times."""
_LEAST_WRITTEN = 256
_DEAF = ("gemma-", "learnlm-")
"""Beginnings of chat models that do not hear."""
_BROKEN = (500, 502)
"""Statuses of a failure of Google's that is worth another attempt, beside those that nothing is billed for."""


class TranscriptionPlugin(Plugin):
    """`POST /v1/audio/transcriptions`, `POST /v1/audio/translations`."""

    fields: ClassVar[FieldPolicies] = {
        "POST /v1/audio/transcriptions": TRANSCRIPTIONS,
        "POST /v1/audio/translations": TRANSLATIONS,
    }

    def __init__(self, config: Any, services: Services) -> None:
        super().__init__(config, services)
        self._recordings = Recordings(services)

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
                        return await self._answered(request, form, context, translate)
                except TimeoutError:
                    raise UpstreamTimeout(
                        f"The transcription took longer than {_LONGEST:.0f} seconds."
                    ) from None

    async def _answered(
        self, request: web.Request, form: Form, context: RequestContext, translate: bool
    ) -> web.StreamResponse:
        """Return the answer to a form."""
        table = TRANSLATIONS if translate else TRANSCRIPTIONS
        file, text_fields = form.file("file"), form.body(wire.LISTS)
        fields = text_fields.decode(wire.decode_request)
        context.report.requested_model = fields.model
        route = self._route(fields.model, context, translate=translate)
        by_chat = self.services.capability_table.of(route.model).kind == "chat"
        notes = Notes(strict=self.services.strict)
        review(text_fields.fields, table, notes)
        wanted = wish(fields, notes, translate=translate, by_chat=by_chat)
        try:
            async with self._recordings.read(file, route.model, context, timed=wanted.timed) as recording:
                return await _Job(self, context, wanted, recording, route, notes, by_chat).run(request)
        except NotOnVertex:
            raise _not_on_vertex(route.model, "" if by_chat else self._chat_model()) from None

    def _route(self, model: str | None, context: RequestContext, *, translate: bool) -> ModelRoute:
        """Return the model: of the kind, or a chat model that hears. Raises BadRequest for any other."""
        services = self.services
        models = services.config.models
        default = models.default if translate else models.transcription
        route = services.route(context.client, model, default, context.deployment)
        kind = services.capability_table.of(route.model).kind
        if "live" in route.model.split("-"):
            raise _not_supported(route.model, default)
        if kind == "chat" and not route.model.startswith(_DEAF):
            return route
        if translate:
            raise _not_supported(route.model, default)
        return of_kind(route, "transcription", models, services.capability_table.of)

    def _chat_model(self) -> str:
        """Return words for a chat model that hears."""
        default = self.services.config.models.default
        return "a chat model" if default.startswith(_DEAF) else f"a chat model, such as `{default}`,"


class _Job:
    """One transcription: its call, and its answer."""

    def __init__(
        self,
        plugin: TranscriptionPlugin,
        context: RequestContext,
        wanted: Wish,
        recording: Recording,
        route: ModelRoute,
        notes: Notes,
        by_chat: bool,
    ) -> None:
        self._services = plugin.services
        self._context = context
        self._wanted = wanted
        self._recording = recording
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
        data = await in_codec_thread(_encoded, self._model, self._wanted, self._recording)
        try:
            answer = await self._ask(data)
        except UpstreamError as error:
            if error.upstream_status not in _BROKEN:
                raise
            answer = await self._ask(data)
        transcript = from_interaction(answer, self._recording.seconds)
        if self._context.hooks is None:
            return transcript
        seen = await self._context.hooks.whole(as_events(transcript), 0, self._model, self._context)
        return as_hooks_left(transcript, seen)

    async def _ask(self, data: bytes) -> wire.Interaction:
        return await self._services.exchange.ask(
            "interactions", data, self._context, wire.decode_interaction,
            usage=usage_metadata, model=self._model, project=self._recording.project, cost=self._cost(), once=True,
        )  # fmt: skip

    async def _by_prompt(self, call: GeminiCall) -> Transcript:
        written = await self._services.exchange.complete(
            [self._choice(call)], self._context, lambda _: _reader()
        )
        return from_events(written, self._wanted, self._recording.seconds)

    async def _call(self) -> GeminiCall:
        capabilities = self._services.exchange.accounting.capabilities(self._model)
        sound = await in_codec_thread(_part, self._recording)
        request = prompt(self._model, self._wanted, sound, capabilities, self._services.safety, self._notes)
        stream = self._wanted.stream and not self._wanted.timed
        heavy = len(self._recording.data) > HEAVY
        call = GeminiCall(self._model, request, stream, heavy, project=self._recording.project)
        return await self._context.hooks.call(call, self._context) if self._context.hooks else call

    def _cost(self) -> CostEstimate:
        seconds = self._recording.about
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


def _encoded(model: str, wanted: Wish, recording: Recording) -> bytes:
    uri = recording.uri
    source: dict[str, Any] = {"uri": uri} if uri else {"data": encoded_json(recording.data)}
    return wire.encode(interaction(model, wanted, {**source, "mime_type": recording.mime_type}))


def _part(recording: Recording) -> Part:
    if uri := recording.uri:
        return Part(file_data=FileData(uri, recording.mime_type))
    return Part(inline_data=Blob(recording.mime_type, encoded(recording.data)))


def _reader() -> TurnReader:
    return TurnReader(partial(unique, "call_"))


def _not_supported(model: str, default: str) -> BadRequest:
    return BadRequest(
        f"The model `{model[:80]}` does not transcribe audio. Use a model that does, such as `{default}`.",
        param="model",
        code="model_not_supported",
    )


def _not_on_vertex(model: str, instead: str) -> BadRequest:
    """Return the error for a recording that Vertex AI cannot take: for its model, or without `instead` for its size."""
    where, most = "All Google projects of this gateway are on Vertex AI, which", f"{INLINE // 2**20} MiB"
    if instead:
        message = f"{where} does not have `{model}`. Use {instead}, for a file of up to {most}."
    else:
        message = f"{where} takes files of up to {most} here. Send a smaller file, or parts of it."
    return BadRequest(message, param="model" if instead else "file", code=NotOnVertex.code)
