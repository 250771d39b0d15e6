"""OpenAI's images: generations, edits and variations."""

import asyncio
import logging
import os
from asyncio import to_thread
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from time import time
from typing import Annotated, Any, ClassVar

from aiohttp import web
from msgspec import Meta, Raw, Struct, structs

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.field_policy import FieldPolicies, Policy, review
from gateway.conversation.parts import AnyPart
from gateway.errors import BadRequest, GatewayError, NotFound, UpstreamTimeout
from gateway.exchange.batches.lines import BatchAnswer, BatchLine, generation, read
from gateway.exchange.calls.cost import UNKNOWN_COST, CostEstimate
from gateway.exchange.calls.fallback import Choice
from gateway.exchange.cancellation import of_cancellation
from gateway.exchange.context import RequestContext
from gateway.exchange.incoming.client_address import origin
from gateway.exchange.incoming.multipart import check_content_type
from gateway.exchange.incoming.request_body import Body, read_body
from gateway.exchange.offload import HEAVY, HEAVY_ANSWER, offload
from gateway.exchange.preparation import PreparedRequest, RequestOptions
from gateway.exchange.replies.delivery import answer_headers, json_response, limit_buffers
from gateway.exchange.replies.final_errors import final_errors
from gateway.gemini.call import GeminiCall
from gateway.plugin import Plugin, Services
from gateway.plugins.images import wire
from gateway.plugins.images.drawings import Drawings, Finish, finished_drawing, reader
from gateway.plugins.images.fields import EDITS, GENERATIONS, VARIATIONS
from gateway.plugins.images.inputs import FILES, pictures
from gateway.plugins.images.kept import NAME, KeptPictures
from gateway.plugins.images.request import (
    VARIATION,
    addressed,
    ask_for_picture,
    check,
    check_marks,
    conversation,
    output_format,
    picture_tokens,
)
from gateway.plugins.images.response import Drawing, completed, error_event, image_list
from gateway.plugins.images.sizes import Wanted
from gateway.plugins.images.wire import ImageRequest
from gateway.policy.models.catalog import ModelRoute
from gateway.store.disk_space import InsufficientStorage

_log = logging.getLogger("gateway.images")
_SWEEP = 60.0
"""Seconds between two looks for pictures that have expired."""
_PIECE = 256 * 1024
_MOST_FORM = 17 * 50 * 2**20
"""Bytes of the largest form: 16 pictures and a mask, where `limits.body` allows it."""


class Asked(Struct, frozen=True):
    """One request, read."""

    body: ImageRequest
    recorded: ConversationBuilder
    wish: Wanted
    heavy: bool


class Images(Plugin):
    """`POST /v1/images/generations`, `/edits` and `/variations`."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.images`."""

        n: Annotated[int, Meta(ge=1, le=wire.MOST_IMAGES, description="Most pictures of one request.")] = (
            wire.MOST_IMAGES
        )
        seconds: Annotated[
            float, Meta(gt=0, le=3600, description="Seconds for all pictures of one request.")
        ] = 300.0
        urls: Annotated[
            Annotated[int, Meta(ge=60, le=604_800)] | None,
            Meta(
                description="Seconds for which a picture can be fetched, without a key, at the address that "
                "`response_format: url` gives. Default: a `data:` URL, and no picture is kept."
            ),
        ] = None

    fields: ClassVar[FieldPolicies] = {
        "POST /v1/images/generations": GENERATIONS,
        "POST /v1/images/edits": EDITS,
        "POST /v1/images/variations": VARIATIONS,
    }

    def __init__(self, config: Any, services: Services) -> None:
        super().__init__(config, services)
        self._kept: KeptPictures | None = None

    def routes(self) -> list[web.RouteDef]:
        fetched = [web.get(f"/v1/images/{{name:{NAME}}}", self.fetch)] if self.config.urls else []
        return [
            *fetched,
            web.post("/v1/images/generations", self.generate),
            web.post("/v1/images/edits", self.edit),
            web.post("/v1/images/variations", self.vary),
        ]

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Delete kept pictures that have expired, from time to time."""
        if self.config.urls is None:
            yield
            return
        folder = await to_thread(self.services.folder, self.name)
        self._kept = KeptPictures(folder, self.config.urls)
        task = self.services.background(f"{self.name} expiry", self._sweep)
        yield
        task.cancel()
        self._kept = None

    async def _sweep(self) -> None:
        while self._kept is not None:
            await to_thread(self._kept.sweep)
            await asyncio.sleep(_SWEEP)

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """Answer with a kept picture. Whoever has its address may see it."""
        name = request.match_info["name"]
        kept = await to_thread(self._kept.open, name) if self._kept is not None else None
        if kept is None:
            raise NotFound("There is no such picture, or it has expired.", code="file_not_found")
        picture, left = kept
        headers = {
            "Content-Type": f"image/{name.rpartition('.')[2]}", "Cache-Control": f"private, max-age={left}",
            "X-Content-Type-Options": "nosniff",
        }  # fmt: skip
        with picture:
            response = web.StreamResponse(headers=headers)
            response.content_length = os.fstat(picture.fileno()).st_size
            await response.prepare(request)
            limit_buffers(request)
            while data := await to_thread(picture.read, _PIECE):
                await response.write(data)
        await response.write_eof()
        return response

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for pictures of a prompt."""
        with final_errors():
            async with self.services.enter(request, "images") as context:
                data = await read_body(request)
                read = await offload(data.heavy, self._read_generation, data)
                return await self._answer(request, context, read, "image_generation")

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """Answer a request to change pictures, which come as files of a form or by their addresses in JSON."""
        if request.content_type.startswith("multipart/"):
            return await self._answer_form(request, EDITS)
        with final_errors():
            async with self.services.enter(request, "images") as context:
                data = await _json_body(request)
                read = await offload(data.heavy, self._read_addressed, data)
                return await self._answer(request, context, read, "image_edit")

    async def vary(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for another version of a picture."""
        return await self._answer_form(request, VARIATIONS, VARIATION)

    async def _answer_form(
        self, request: web.Request, table: dict[str, Policy], prompt: str | None = None
    ) -> web.StreamResponse:
        with final_errors():
            async with self.services.enter(request, "images", reads_body=False) as context:
                most = min(_MOST_FORM, self.services.config.limits.body)
                async with self.services.form(request, FILES, most) as form:
                    data = form.body()
                    body = data.decode(wire.decode_form)
                    body.prompt = body.prompt or prompt
                    wish = check(body, data.fields)
                    parts, mark = await pictures(form, context.memory)
                    recorded = self._record(body, data.fields, table, parts, mark)
                heavy = any(len(part.inline_data.data) > HEAVY for part in parts if part.inline_data)
                read = Asked(body, recorded, wish, heavy)
                return await self._answer(request, context, read, "image_edit")

    async def batch_line(self, body: Body, context: RequestContext) -> BatchLine:
        """Return the call for a line of a batch, which makes one picture. Raises GatewayError as `generate` would."""
        asked, prepared = await self._prepared_line(body, context)
        wish, exchange = asked.body, self.services.exchange
        kept = wire.KeptLine(output_format(wish), wish.output_compression, wish.response_format == "url")
        line = await generation(prepared, exchange, context, wire.encode(kept))
        cost = self._of_picture(prepared.call, exchange.accounting.ceiling(prepared.call))
        return structs.replace(line, most=[cost.most])

    async def batch_answer(
        self, kept: bytes, answers: Sequence[bytes], context: RequestContext
    ) -> BatchAnswer:
        """Return the picture of Gemini's answer to a line. Raises GatewayError."""
        line = wire.decode_kept(kept)
        events, counts = await read(self.services.exchange, answers, reader, context)
        finish = Finish(line.format, line.compression)
        result, _ = await finished_drawing(events, finish, context.memory)
        return BatchAnswer(await _whole([result], _data_urls([result]) if line.url else None), counts)

    async def answer_body(self, body: Body, context: RequestContext) -> bytes:
        """Return a picture that no client waits for. Raises GatewayError as `generate` would."""
        line, prepared = await self._prepared_line(body, context)
        finish = Finish(output_format(line.body), line.body.output_compression)
        choices = self._choices(prepared, line.body, context)
        drawings = Drawings(self.services.exchange, choices, finish, context)
        async with _time_limit(self.config.seconds):
            finished = [each async for each in drawings.each()]
        is_url = line.body.response_format == "url"
        return await _whole(finished, _data_urls(finished) if is_url else None)

    async def _prepared_line(self, data: Body, context: RequestContext) -> tuple[Asked, PreparedRequest]:
        """Return the line of a batch, and the call for its picture. Raises GatewayError."""
        line = await offload(data.heavy, self._read_generation, data)
        if (line.body.n or 1) > 1:
            raise _too_many(1)
        context.report.requested_model = line.body.model
        route = self.services.route_of_kind(context.client, line.body.model, "image")
        return line, await self._prepare(line, route, context)

    def _read_generation(self, data: Body) -> Asked:
        """Return a request for pictures of a prompt. Raises BadRequest with the path of the wrong field."""
        body = data.decode(wire.decode_request)
        wish = check(body, data.fields)
        return Asked(body, self._record(body, data.fields, GENERATIONS), wish, data.heavy)

    def _read_addressed(self, data: Body) -> Asked:
        """Return a request to change pictures that are named in JSON. Raises BadRequest."""
        body = data.decode(wire.decode_request)
        wish = check(body, data.fields)
        check_marks(mask=body.mask is not None, markup=body.markup is not None)
        parts, last = addressed(body)
        mark = "" if last is None else "mask" if body.mask is not None else "markup"
        recorded = self._record(
            body, data.fields, EDITS, [*parts, *([last] if last is not None else [])], mark
        )
        return Asked(body, recorded, wish, data.heavy)

    def _record(
        self,
        body: ImageRequest,
        fields: Mapping[str, Raw],
        table: Mapping[str, Policy],
        parts: Sequence[AnyPart] = (),
        mark: str = "",
    ) -> ConversationBuilder:
        """Return the turn of a request, whose last picture may be a `mask` or a `markup`. Raises BadRequest."""
        recorded = conversation(body, parts, strict=self.services.strict, mark=mark)
        review(fields, table, recorded.notes)
        return recorded

    async def _answer(
        self, request: web.Request, context: RequestContext, read: Asked, prefix: str
    ) -> web.StreamResponse:
        """Ask Gemini and answer, whole or as events. Raises GatewayError."""
        body = read.body
        context.report.requested_model, context.report.stream = body.model, bool(body.stream)
        if (body.n or 1) > self.config.n:
            raise _too_many(self.config.n)
        route = self.services.route_of_kind(context.client, body.model, "image", context.deployment)
        prepared = await self._prepare(read, route, context)
        finish = Finish(output_format(body), body.output_compression)
        drawings = Drawings(self.services.exchange, self._choices(prepared, body, context), finish, context)
        if body.stream:
            return await self._stream(request, context, prepared, drawings, prefix)
        async with _time_limit(self.config.seconds):
            finished = [each async for each in drawings.each()]
        finished.sort(key=lambda each: each.number)
        urls = await self._urls(request, context, finished) if body.response_format == "url" else None
        data = await _whole(finished, urls)
        return json_response(data, _headers(prepared, drawings, context))

    async def _urls(
        self, request: web.Request, context: RequestContext, finished: Sequence[Drawing]
    ) -> list[str]:
        """Return an address of each picture: of the gateway's own, where pictures are kept and the disk has room."""
        if self._kept is not None:
            pictures = [(each.data, each.facts.format) for each in finished]
            try:
                names = await to_thread(self._kept.keep, context.client.scope, pictures)
                self.services.count(self.name, "kept")
                return [f"{origin(request)}/v1/images/{name}" for name in names]
            except (OSError, InsufficientStorage) as error:  # they are paid for
                _log.warning("pictures are not kept, and were sent as data: URLs: %s", error)
        return _data_urls(finished)

    async def _prepare(self, read: Asked, route: ModelRoute, context: RequestContext) -> PreparedRequest:
        """Return the call for a picture. Raises GatewayError naming the client's field at fault."""
        model = self.services.exchange.accounting.capabilities(route.model)
        ask_for_picture(read.recorded, read.body, read.wish, model)
        options = RequestOptions(read.body.model, bool(read.body.stream), heavy=read.heavy, route=route)
        return await self.services.preparation.prepare(read.recorded, options, context)

    def _choices(
        self, prepared: PreparedRequest, body: ImageRequest, context: RequestContext
    ) -> list[Choice]:
        """Return a call for each picture, with the most that it costs."""
        if context.cache:
            context.report.cached = "off"  # who asks again wants another picture
        first, accounting = prepared.choices[0], self.services.exchange.accounting
        cost = accounting.estimate(first.call, context.client)
        if cost is not UNKNOWN_COST:
            cost = self._of_picture(first.call, cost)
        plan = first.fallbacks
        if plan is not None:
            drawing = [name for name in plan.models if accounting.capabilities(name).kind == "image"]
            plan = structs.replace(plan, models=drawing)
        return [
            Choice(first.call.for_choice(i), i, plan, cacheable=False, once=True, cost=cost)
            for i in range(body.n or 1)
        ]

    def _of_picture(self, call: GeminiCall, cost: CostEstimate) -> CostEstimate:
        """Return the cost of a call whose answer is one picture of the size that it asks for."""
        config = call.request.generation_config
        shape = config.image_config if config is not None else None
        model = self.services.exchange.accounting.capabilities(call.model)
        return structs.replace(cost, output=picture_tokens(shape, model))

    async def _stream(
        self,
        request: web.Request,
        context: RequestContext,
        prepared: PreparedRequest,
        drawings: Drawings,
        prefix: str,
    ) -> web.StreamResponse:
        """Answer with an event for each picture."""
        context.report.unsent = 1
        headers = partial(_headers, prepared, drawings, context)
        async with self.services.delivery.open(request, context, headers) as reply:
            try:
                async with _time_limit(self.config.seconds), aclosing(drawings.each()) as finished:
                    async for each in finished:
                        heavy = len(each.data) > HEAVY_ANSWER
                        await reply.write(await offload(heavy, completed, each, int(time()), prefix))
            except (GatewayError, asyncio.CancelledError) as ended:
                error = ended if isinstance(ended, GatewayError) else of_cancellation(ended)
                if not reply.begun or error is None:
                    raise
                context.report.fail(error)
                await reply.write(error_event(error))
            response = await reply.finish()
            context.report.sent()
            return response


async def _whole(finished: Sequence[Drawing], urls: Sequence[str] | None = None) -> bytes:
    """Return the whole answer, with the pictures as base64 unless they have URLs."""
    heavy = sum(len(each.data) for each in finished) > HEAVY_ANSWER
    return await offload(heavy, image_list, finished, int(time()), urls)


def _data_urls(finished: Sequence[Drawing]) -> list[str]:
    return [f"data:image/{each.facts.format};base64,{each.data}" for each in finished]


async def _json_body(request: web.Request) -> Body:
    """Return a JSON body. Raises BadRequest, which names the form that is expected where there is no JSON."""
    try:
        return await read_body(request)
    except BadRequest as error:
        if error.code == "invalid_json" and request.content_type != "application/json":
            check_content_type(request)
        raise


@asynccontextmanager
async def _time_limit(seconds: float) -> AsyncIterator[None]:
    """End work that takes too long. Raises UpstreamTimeout."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise UpstreamTimeout(f"Gemini has made no picture within {seconds:g} seconds.") from None


def _headers(prepared: PreparedRequest, drawings: Drawings, context: RequestContext) -> dict[str, str]:
    """Return the headers of an answer. Those of a stream leave before its later pictures are made."""
    context.report.model = drawings.model
    return answer_headers(drawings.model, [*prepared.notes, *drawings.notes], context.report.adjusted)


def _too_many(most: int) -> BadRequest:
    return BadRequest(
        f"Invalid 'n': integer above maximum value. Expected a value <= {most}.",
        param="n",
        code="integer_above_max_value",
    )
