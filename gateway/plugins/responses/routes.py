"""OpenAI's Responses API. Stored responses can be read only with the key that created them."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from time import time
from typing import Annotated, Any, ClassVar

from aiohttp import web
from msgspec import Meta, Raw, Struct, structs

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.field_policy import FieldPolicies, review
from gateway.conversation.foreign.originals import NO_PLACEHOLDERS
from gateway.conversation.plain import PlainConversation
from gateway.errors import BadRequest, Draining, RateLimited
from gateway.exchange.batches.lines import BatchAnswer, BatchLine, generation, read
from gateway.exchange.context import RequestContext
from gateway.exchange.incoming.client_address import client_address
from gateway.exchange.incoming.request_body import Body, read_body, read_plain
from gateway.exchange.incoming.websocket_frames import check_origin
from gateway.exchange.offload import HEAVY_ANSWER, offload
from gateway.exchange.preparation import RequestOptions
from gateway.exchange.replies.delivery import json_response
from gateway.exchange.replies.unserved import unserved, wants_websocket
from gateway.plugin import Entry, Plugin, Services
from gateway.plugins.responses import plain_request, websocket, wire
from gateway.plugins.responses.background import PreparedResponse, ResponseRun, Store
from gateway.plugins.responses.content import of_picture
from gateway.plugins.responses.fields import RESPONSES
from gateway.plugins.responses.plain_request import PlainRequest
from gateway.plugins.responses.references import ItemsReferenced
from gateway.plugins.responses.request import conversation
from gateway.plugins.responses.response import without_output
from gateway.plugins.responses.response_object import new_response
from gateway.plugins.responses.stored import (
    UNFINISHED,
    StoredResponses,
    input_items,
    new_name,
    response_key,
)
from gateway.plugins.responses.websocket import Connection, Remembered
from gateway.policy.clients.access import Client

_MIB = 2**20
_ONE = "/v1/responses/{id:(?!compact$|input_tokens$)[^/]+}"
"""The path of a stored response. The others are methods of OpenAI's: `compact` is not served, so that it is a 404."""


class Responses(Plugin):
    """`POST /v1/responses`, and the stored responses."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Limits of responses with `background: true`."""

        background: Annotated[
            int,
            Meta(
                ge=0,
                le=100_000,
                description="Responses in progress in the background at once; 0 refuses them.",
            ),
        ] = 64
        megabytes: Annotated[
            int,
            Meta(
                ge=1, le=4096, description="Memory for the events of background responses (starting_after)."
            ),
        ] = 64
        websockets: Annotated[
            int,
            Meta(
                ge=0,
                le=100_000,
                description="WebSocket connections at once, of one key a quarter, and of one address a half; "
                "with more, or 0, clients are told to use POST.",
            ),
        ] = 1000

    def __init__(self, config: "Responses.Config", services: Services) -> None:
        super().__init__(config, services)
        self._placeholders = NO_PLACEHOLDERS if services.strict else wire.PLACEHOLDERS
        self._stored = StoredResponses(services)
        self._runs: dict[bytes, ResponseRun] = {}
        """Background responses in progress, and finished ones whose events are still in memory; oldest first."""
        self._connections = websocket.Connections(services, config.websockets)

    fields: ClassVar[FieldPolicies] = {"POST /v1/responses": RESPONSES}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/responses", self.create),
            web.get("/v1/responses", self.connect, allow_head=False),
            web.get(_ONE, self.show),
            web.delete(_ONE, self.forget),
            web.post("/v1/responses/{id}/cancel", self.cancel),
            web.get("/v1/responses/{id}/input_items", self.input_items),
            web.post("/v1/responses/input_tokens", self.count),
        ]

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Cancel the responses that are still in progress when the gateway stops."""
        yield
        for run in list(self._runs.values()):
            await run.cancel(Draining.CANCELLED)
            run.buffer.drop()

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer one request: with a response, with its events, or in the background."""
        entry = self.services.enter(request, "responses")
        async with entry as context:
            body, plain = await read_plain(request, plain_request.decode)
            said = None
            if plain is not None:
                said = plain_request.conversation(plain, partial(self._recorded, body))
            if plain is None or said is None:
                prepared = await self._prepare(context, body)
            else:
                prepared = await self._prepare_plain(context, body, plain, said)
            del body, plain, said  # a stream may live for an hour
            store = self._store(prepared, context.client)
            run = await offload(prepared.heavy, ResponseRun, prepared, self.services, store)
            if prepared.body.background:
                return await self._in_background(request, entry, context, run, prepared)
            return await self.services.delivery.send(request, context, run)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Answer the messages of a WebSocket. A client that is not let in is told to use POST."""
        if not wants_websocket(request):
            raise unserved(request, frozenset({"POST"}))
        check_origin(request, self.services.config.cors.origins)
        context = await self.services.identified(request, "responses")
        context.memory.owner = context.client.id or client_address(request)
        connection = Connection(request, self.services, self._create_over)
        if not self._connections.has_room(connection) or not connection.socket.can_prepare(request):
            raise unserved(request, frozenset({"POST"}))
        return await self._connections.run(connection)

    async def _create_over(self, connection: Connection, message: bytes) -> None:
        """Answer one message of a WebSocket with the events of its response."""
        async with self.services.enter(connection.request, "responses", reads_body=False) as context:
            data = await read_body(connection.request, message)
            if not websocket.generates(data):
                await self._remember(connection, context, websocket.unwrapped(data))
                return
            remembered = connection.remembered
            prepared = await self._prepare(context, websocket.unwrapped(data), remembered)
            store = self._store(prepared, context.client)

            async def keep(kept: dict[str, Any], ids: Sequence[str]) -> None:
                await remembered.put(prepared.name, kept["items"], heavy=prepared.heavy)
                if store is not None:
                    await store(kept, ids)

            run = await offload(prepared.heavy, ResponseRun, prepared, self.services, keep)
            async with connection.reply(context, run.keep_alive) as reply:
                await self.services.delivery.stream_to(run.reply(reply), context, run)
            context.report.model = run.model

    async def _remember(self, connection: Connection, context: RequestContext, data: Body) -> None:
        """Remember the input of a message that asks for no output, as a response that the next one continues."""
        body = await self._decode(data, connection.remembered)
        context.report.describe(None, body.model, stream=True)
        history = await self._history(body.previous_response_id, context, connection.remembered)
        name, now = new_name(), int(time())
        items, _ = await offload(data.heavy, input_items, _said(data), name, {})
        response = new_response(name, body, body.model or "", now)
        await connection.remembered.put(name, [*history, *items], heavy=True)
        await connection.send(without_output(response, now))

    async def batch_line(self, body: Body, context: RequestContext) -> BatchLine:
        """Return the Gemini calls for a line of a batch. Raises GatewayError as `create` would."""
        prepared = await self._prepare(context, body)
        from gateway.plugins.responses.batch import kept_line

        kept = kept_line(prepared, body.fields)
        return await generation(prepared.request, self.services.exchange, context, kept)

    async def batch_answer(
        self, kept: bytes, answers: Sequence[bytes], context: RequestContext
    ) -> BatchAnswer:
        """Return the response for Gemini's answer to a line. Raises GatewayError."""
        from gateway.plugins.responses.batch import LineAnswer

        def decoded(data: bytes) -> wire.ResponseRequest:
            return Body(data).decode(wire.decode_request, self._placeholders)

        line = LineAnswer(kept, context.client.scope, decoded)
        events, counts = await read(self.services.exchange, answers, line.reader, context)
        return BatchAnswer(line.encoded(events), counts)

    async def answer_body(self, body: Body, context: RequestContext) -> bytes:
        """Return a whole response, which is not stored. Raises GatewayError as `create` would."""
        prepared = await self._prepare(context, body)
        run = ResponseRun(prepared, self.services, None)
        events = await self.services.exchange.complete(run.choices, context, run.reader)
        return await run.whole(events, heavy=context.report.answer_bytes > HEAVY_ANSWER)

    async def count(self, request: web.Request) -> web.Response:
        """Return the input tokens of a request."""
        async with self.services.enter(request, "responses") as context:
            prepared = await self._prepare(context, await read_body(request))
            tokens = await self.services.exchange.count(prepared.request.call, context)
        return json_response(wire.encode({"object": "response.input_tokens", "input_tokens": tokens}), {})

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Return a stored response; with `stream=true`, the events of a background response."""
        context, name = self.services.identify(request, "responses"), request.match_info["id"]
        client = context.client
        run = self._runs.get(response_key(name, client))
        if request.query.get("stream", "").lower() in ("true", "1"):
            if run is None:
                await self._stored.get(name, client)
                raise BadRequest(
                    "The events of this response are not available. They are kept for background responses, "
                    "until their memory is needed.",
                    param="stream",
                )
            return await self._follow(request, context, run, _cursor(request))
        response = run.response if run is not None else (await self._stored.get(name, client))["response"]
        return json_response(wire.encode(response), {})

    async def forget(self, request: web.Request) -> web.Response:
        """Delete a stored response. A response in progress is cancelled."""
        client, name = self.services.identify(request, "responses").client, request.match_info["id"]
        await self._stored.get(name, client)
        run = self._runs.pop(response_key(name, client), None)
        if run is not None:
            await run.cancel()
            run.buffer.drop()
        await self._stored.forget(name, client)
        return json_response(wire.encode({"id": name, "object": "response", "deleted": True}), {})

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel a background response, and return it. One that has ended is returned as it is."""
        client, name = self.services.identify(request, "responses").client, request.match_info["id"]
        response = (await self._stored.get(name, client))["response"]
        if not response["background"]:
            raise BadRequest("Only responses created with 'background' set to true can be cancelled.")
        run = self._runs.get(response_key(name, client))
        if run is not None:
            await run.cancel()
            response = run.response
        elif response["status"] in UNFINISHED:
            raise BadRequest(
                "Another process of the gateway makes this response. Try again.",
                status=409, code="conflict", retry_after=1,
            )  # fmt: skip
        return json_response(wire.encode(response), {})

    async def input_items(self, request: web.Request) -> web.Response:
        """Return the input of a stored response, in one page."""
        stored = await self._stored.get(
            request.match_info["id"], self.services.identify(request, "responses").client
        )
        items = stored["input"]
        ids = [item.get("id") for item in items]
        page = {"object": "list", "data": items, "has_more": False, "first_id": ids[0] if ids else None,
                "last_id": ids[-1] if ids else None}  # fmt: skip
        return json_response(wire.encode(page), {})

    async def _in_background(
        self,
        request: web.Request,
        entry: Entry,
        context: RequestContext,
        run: ResponseRun,
        prepared: PreparedResponse,
    ) -> web.StreamResponse:
        """Start a background response; return it as it is now, or its events."""
        if prepared.body.store is False:
            raise BadRequest(
                "Invalid 'store': a background response must be stored. Leave out `store`, or `background`.",
                param="store",
            )
        self._make_room()
        self._runs[response_key(run.name, context.client)] = run
        run.start(
            context.in_background("/v1/responses (background)"),
            entry.hand_over(),
            lambda: self._drop_events(len(self._runs), but=1),
        )
        if context.report.stream:
            return await self._follow(request, context, run, -1)
        return json_response(wire.encode(run.response), run.headers(run.model, context))

    def _make_room(self) -> None:
        """Make room for one more response. Raises RateLimited at a limit of the configuration."""
        # the other half is for clients that wait for their answers
        most = min(self.config.background, max(1, self.services.config.limits.streams // 2))
        self._drop_events(2 * most - 1)
        if sum(not run.buffer.ended for run in self._runs.values()) >= most or self._is_full:
            raise RateLimited(
                f"Too many background responses are in progress. The limit is {most} responses, with "
                f"{self.config.megabytes} MiB of events.",
                code="gateway_overloaded",
                retry_after=5,
            )

    def _drop_events(self, most: int, but: int = 0) -> None:
        """Drop the events of finished responses, oldest first, while all take too much or are more than `most`.

        The newest `but` are kept.
        """
        done = [key for key, run in self._runs.items() if run.buffer.ended]
        while len(done) > but and (len(self._runs) > most or self._is_full):
            self._runs.pop(done.pop(0)).buffer.drop()

    @property
    def _is_full(self) -> bool:
        held: int = sum(run.buffer.held for run in self._runs.values())
        most: int = self.config.megabytes * _MIB
        return held > most

    async def _follow(
        self, request: web.Request, context: RequestContext, run: ResponseRun, after: int
    ) -> web.StreamResponse:
        """Send the events with numbers above `after`. A client that leaves does not stop the response."""
        return await self.services.delivery.follow(
            request, context, run.buffer.follow(after), lambda: run.headers(run.model, context)
        )

    def _store(self, prepared: PreparedResponse, client: Client) -> Store | None:
        """Return what stores a response for its client; None for one that must not be stored."""
        if prepared.body.store is False:
            return None
        return lambda kept, ids: self._stored.keep(prepared.name, client, kept, ids, heavy=prepared.heavy)

    async def _prepare(
        self, context: RequestContext, data: Body, remembered: Remembered | None = None
    ) -> PreparedResponse:
        """Prepare a request. A picture that cannot be used is refused in OpenAI's words.

        `remembered` is given for a WebSocket: its responses are always streamed and remembered.
        """
        try:
            return await self._prepared(context, data, remembered)
        except BadRequest as error:
            raise of_picture(error) from None

    def _recorded(self, data: Body) -> ConversationBuilder:
        """Return what a body without stored items says."""
        return self._read(data, data.decode(wire.decode_request, self._placeholders), [])

    async def _prepare_plain(
        self, context: RequestContext, data: Body, plain: PlainRequest, said: PlainConversation
    ) -> PreparedResponse:
        """Return what `_prepare` returns, of a body that was read as a plain one."""
        options = RequestOptions(plain.model, bool(plain.stream))
        prepared = await self.services.preparation.prepare(said, options, context)
        name, body = new_name(), plain_request.request(plain)
        if plain.store is False:
            return PreparedResponse(body, prepared, [], name)
        items, ids = input_items(_said(data), name, {})
        return PreparedResponse(body, prepared, items, name, ids)

    async def _prepared(
        self, context: RequestContext, data: Body, remembered: Remembered | None
    ) -> PreparedResponse:
        """Prepare a request. Its items, and those of the responses before it, are kept as the client sent them."""
        client = context.client
        body = await self._decode(data, remembered)
        heavy = data.heavy or (remembered is not None and remembered.is_heavy(body.previous_response_id))
        history = await self._history(body.previous_response_id, context, remembered)
        referenced: dict[str, Any] = {}
        try:
            recorded = await offload(heavy, self._read, data, body, history)
        except ItemsReferenced as wanted:
            stored = await self._stored.items(wanted.checked(), client, self.services.config.limits.body)
            referenced, heavy = stored.items, heavy or stored.heavy
            recorded = await offload(heavy, self._read, data, body, history, referenced)
        options = RequestOptions(
            body.model, bool(body.stream), cache_key=body.prompt_cache_key or "", heavy=heavy
        )
        prepared = await self.services.preparation.prepare(recorded, options, context)
        name = new_name()
        if body.store is False and remembered is None:
            return PreparedResponse(body, prepared, [], name, heavy=heavy)
        items, ids = await offload(heavy, input_items, _said(data), name, referenced)
        return PreparedResponse(body, prepared, [*history, *items], name, ids, heavy)

    async def _decode(self, data: Body, remembered: Remembered | None) -> wire.ResponseRequest:
        """Return the decoded body. One of a WebSocket is streamed, whatever it says."""
        body = await offload(data.heavy, data.decode, wire.decode_request, self._placeholders)
        return body if remembered is None else structs.replace(body, stream=True, background=None)

    async def _history(
        self, name: str | None, context: RequestContext, remembered: Remembered | None
    ) -> list[Any]:
        """Return the items up to the previous response: those that a WebSocket remembers, or the stored ones."""
        if not name:
            return []
        if remembered is not None and (items := await remembered.items(name, context.memory)) is not None:
            return items
        before: list[Any] = (await self._stored.previous(name, context.client))["items"]
        return before

    def _read(
        self,
        data: Body,
        body: wire.ResponseRequest,
        history: list[Any],
        referenced: Mapping[str, Any] | None = None,
    ) -> ConversationBuilder:
        """Return what a body says after its history. Raises BadRequest with the path of what is wrong."""
        recorded = conversation(
            body, history, data.fields, strict=self.services.strict, referenced=referenced
        )
        review(data.fields, RESPONSES, recorded.notes)
        return recorded


def _said(data: Body) -> Raw | None:
    """Return the input of a body, undecoded."""
    return data.fields.get("input") or data.fields.get("messages")


def _cursor(request: web.Request) -> int:
    """Return `starting_after`, the number of the last event that the client has. Raises BadRequest for no number."""
    number = request.query.get("starting_after", "-1")
    if not re.fullmatch(r"-1|\d{1,9}", number, re.ASCII):
        raise BadRequest(
            "Invalid 'starting_after': expected the sequence_number of an event.", param="starting_after"
        )
    return int(number)
