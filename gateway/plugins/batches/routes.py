"""OpenAI's and Anthropic's batches, on Google's batches."""

import asyncio
import secrets
from asyncio import to_thread
from collections.abc import AsyncIterator
from time import time
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from aiohttp import web
from msgspec import Meta, Struct

from gateway.conversation.field_policy import FieldPolicies, review
from gateway.conversation.notes import Notes
from gateway.errors import BadRequest, NotFound
from gateway.exchange.context import RequestContext
from gateway.exchange.incoming.request_body import read_body
from gateway.exchange.replies.delivery import answer_headers, json_response
from gateway.exchange.replies.unserved import family, unserved
from gateway.plugin import Entry, Plugin, Services
from gateway.plugins.batches.anthropic_routes import MessageBatches
from gateway.plugins.batches.fields import BATCH, MESSAGE_BATCH
from gateway.plugins.batches.request import PLUGINS, check_create, identifier, list_query, no_batch
from gateway.plugins.batches.response import batch_list, batch_object, note_headers
from gateway.plugins.batches.wire import CreateBatch, decode_create, encode
from gateway.policy.clients.kept_batches import ENDED, Batch, BatchPage, Details

if TYPE_CHECKING:
    from gateway.exchange.batches.engine import BatchSurface, Engine
    from gateway.plugins.batches.anthropic_surface import MessageSurface
    from gateway.plugins.batches.surface import Surface

_LIFE = 48 * 3600
"""Seconds after which Google gives a batch up (https://ai.google.dev/gemini-api/docs/batch-api)."""
_PATIENCE = 5.0
"""Seconds for which a client with a Gemini key of its own waits for a look at its batch."""
MiB = 2**20


class Batches(Plugin):
    """`/v1/batches` and `/v1/messages/batches`."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.batches`."""

        path: Annotated[
            str | None,
            Meta(
                description="Folder of the batches. Default: `batches` below systemd's STATE_DIRECTORY; without one, "
                "batches are not served. A relative path is below STATE_DIRECTORY, or without one beside this file."
            ),
        ] = None
        run: Annotated[
            Literal["google", "here"],
            Meta(
                description="`google`: by Google's batches, at half the price. `here`: line by line, at the full "
                "price, for projects whose Google account has no batches."
            ),
        ] = "google"
        poll: Annotated[
            float, Meta(ge=0.1, le=3600, description="Seconds between the first looks at a batch at Google.")
        ] = 30.0
        longest_poll: Annotated[
            float,
            Meta(
                ge=0.1,
                le=86400,
                description="Seconds between two looks, at most; each wait is 1.5 times as long.",
            ),
        ] = 600.0
        count: Annotated[
            int, Meta(ge=1, le=100_000, description="Most batches of one client that have not ended.")
        ] = 100
        lines: Annotated[int, Meta(ge=1, le=1_000_000, description="Most lines of a batch.")] = 50_000
        megabytes: Annotated[int, Meta(ge=1, le=2048, description="Largest file of a batch, in MiB.")] = 200

    fields: ClassVar[FieldPolicies] = {
        "POST /v1/batches": BATCH,
        "POST /v1/messages/batches": MESSAGE_BATCH,
    }

    def __init__(self, config: Any, services: Services) -> None:
        super().__init__(config, services)
        self._folder = services.data_folder(config.path, "batches")
        self._engine: Engine | None = None
        self._surface: Surface | None = None
        self._messages: MessageSurface | None = None
        self._watch: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    def check(self) -> None:
        """Raise ValueError for bounds that contradict each other."""
        if self.config.longest_poll < self.config.poll:
            raise ValueError("`longest_poll` must not be shorter than `poll`")

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/batches", self.create),
            web.get("/v1/batches", self.list_batches),
            web.get("/v1/batches/{id}", self.show),
            web.post("/v1/batches/{id}/cancel", self.cancel),
            *MessageBatches(self).routes(),
        ]

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Go on with the batches of earlier processes. Without any, nothing is opened before the first batch."""
        if self._folder is not None and (self._folder / "batches.db").exists():
            await self.engine()
        yield
        if self._engine is not None and self._watch is not None:
            self._watch.cancel()
            await self._engine.stop()
            await to_thread(self._engine.store.close)

    async def engine(self) -> "Engine":
        """Return the engine, started. Raises NotFound where batches are not kept."""
        if self._folder is None:
            raise NotFound("Batches are not kept here: set plugins.batches.path.", code="batches_not_kept")
        async with self._opening:
            if self._engine is None:
                # a gateway without batches needs none of it
                from gateway.plugins.batches.anthropic_surface import MessageSurface
                from gateway.plugins.batches.surface import Surface, opened

                self._surface = Surface(self.config, self.services)
                self._messages = MessageSurface(self.config, self.services)
                surfaces: dict[str, BatchSurface] = {"openai": self._surface, "anthropic": self._messages}
                self._engine = await to_thread(
                    opened, self._folder, self.config, self.services, surfaces, self.name
                )
                self._surface.store = self._messages.store = self._engine.store
                self._watch = self.services.background(f"{self.name} watch", self._engine.watch)
        return self._engine

    async def create(self, request: web.Request) -> web.Response:
        """Create a batch. Its file is read afterwards."""
        async with self._enter(request) as context:
            data = await read_body(request)
            notes = Notes(strict=self.services.strict)
            review(data.fields, BATCH, notes)
            body = data.decode(decode_create)
            check_create(body)
            if PLUGINS[body.endpoint] not in self.services.plugins:
                message = f"{body.endpoint} is not served here, so batches of it are not, either."
                raise BadRequest(message, param="endpoint", code="unsupported_value")
            engine = await self.engine()
            batch = self._batch(body, context)
            await self._surface_of(engine).admit(batch, context)
            await to_thread(engine.store.add, batch, self.config.count)
            self.services.count(self.name, "created")
            shown = batch_object(batch)
            if not self.services.draining():
                engine.start(batch, context.client)
            context.report.describe(None, None, notes=notes.distinct())
        return json_response(encode(shown), answer_headers("", notes.distinct()))

    async def list_batches(self, request: web.Request) -> web.Response:
        """Answer with a page of the client's batches."""
        async with self._enter(request, reads_body=False) as context:
            query, scope = list_query(request.query), context.client.scope
            store = (await self.engine()).store
            beyond = None
            if query.after:
                before = await to_thread(store.find, scope, "openai", query.after)
                if before is None:
                    raise no_batch(f"batch_{query.after}")
                beyond = before.number
            page = await to_thread(store.page, scope, "openai", BatchPage(query.limit + 1, beyond))
        return json_response(encode(batch_list(page[: query.limit], has_more=len(page) > query.limit)), {})

    async def show(self, request: web.Request) -> web.Response:
        """Answer with a batch. One of a client's own key is looked at now."""
        async with self._enter(request, reads_body=False) as context:
            engine, batch = await self._found(request, context)
            if not batch.client and batch.status not in ENDED:
                batch = await self.looked_at(engine, batch, context)
        return json_response(encode(batch_object(batch)), note_headers(batch))

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel a batch. Lines that are answered already keep their answers."""
        async with self._enter(request, reads_body=False) as context:
            engine, batch = await self._found(request, context)
            if batch.status in ENDED:
                raise BadRequest(
                    f"Cannot cancel a batch with status '{batch.status}'.", status=409, code="batch_ended"
                )
            await self.stop(engine, batch, context)
        return json_response(encode(batch_object(batch)), note_headers(batch))

    async def stop(self, engine: "Engine", batch: Batch, context: RequestContext) -> None:
        """Note that a batch's client asks for its end, and have it looked at."""
        await to_thread(engine.store.cancel, batch, time())
        batch.cancel_at = batch.cancel_at or time()
        engine.start(batch, context.client)

    def messages(self, engine: "Engine") -> "MessageSurface":
        """Return the surface of Anthropic's batches."""
        if self._messages is None:
            raise RuntimeError("the surface is made with the engine")
        return self._messages

    def _enter(self, request: web.Request, *, reads_body: bool = True) -> Entry:
        """Admit a request. Raises NotFound for Anthropic's family: its batches have another path."""
        if family(request) == "anthropic":
            raise unserved(request)
        return self.services.enter(request, "batches", reads_body=reads_body)

    async def _found(self, request: web.Request, context: RequestContext) -> "tuple[Engine, Batch]":
        """Return a client's batch. Raises NotFound."""
        name = request.match_info["id"]
        key, engine = identifier(name), await self.engine()
        batch = await to_thread(engine.store.find, context.client.scope, "openai", key)
        if batch is None:
            raise no_batch(name)
        return engine, batch

    async def looked_at(self, engine: "Engine", batch: Batch, context: RequestContext) -> Batch:
        """Return a batch after a look at it, with the key of the client that asks."""
        if (task := engine.begin(batch, context.client)) is not None:
            await asyncio.wait([task], timeout=_PATIENCE)
        now = await to_thread(engine.store.get, batch.id)
        return now if now is not None else batch

    def _surface_of(self, engine: "Engine") -> "Surface":
        if self._surface is None:
            raise RuntimeError("the surface is made with the engine")
        return self._surface

    def _batch(self, body: CreateBatch, context: RequestContext) -> Batch:
        now = int(time())
        life = body.output_expires_after.seconds if body.output_expires_after is not None else None
        details = Details(
            body.input_file_id, body.completion_window, body.metadata, life, request_id=context.request_id
        )
        client = context.client
        return Batch(
            secrets.token_hex(12),
            client.scope,
            client.id,
            "openai",
            body.endpoint,
            now,
            now + _LIFE,
            details=details,
        )
