"""OpenAI's Responses, over the same core as chat; what is stored is kept for the key that asked."""

import re
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, ClassVar

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.field_policy import FieldPolicies, review
from gateway.errors import BadRequest, Draining, NotFound, RateLimited
from gateway.exchange.context import RequestContext
from gateway.exchange.delivery import json_response
from gateway.exchange.ids import unique
from gateway.exchange.offload import offload
from gateway.exchange.preparation import RequestOptions
from gateway.exchange.request_body import Body, read_body
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.plugin import Plugin, Services
from gateway.plugins.responses import wire
from gateway.plugins.responses.background import STALE, PreparedResponse, ResponseRun
from gateway.plugins.responses.fields import RESPONSES
from gateway.plugins.responses.request import conversation
from gateway.plugins.responses.response import Object
from gateway.policy.access import Client

_UNFINISHED = ("queued", "in_progress")
_MIB = 2**20


class Responses(Plugin):
    """`POST /v1/responses`, and what was stored."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Responses with `background: true`."""

        background: Annotated[
            int, Meta(ge=0, le=100_000, description="Made in the background at once; 0 refuses them.")
        ] = 64
        megabytes: Annotated[
            int,
            Meta(
                ge=1, le=4096, description="Of events kept in memory, for who reads them with starting_after."
            ),
        ] = 64

    def __init__(self, config: "Responses.Config", services: Services) -> None:
        super().__init__(config, services)
        self._runs: dict[bytes, ResponseRun] = {}
        """In the background, now or lately, oldest first."""

    fields: ClassVar[FieldPolicies] = {"POST /v1/responses": RESPONSES}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/responses", self.create),
            web.get("/v1/responses/{id}", self.show),
            web.delete("/v1/responses/{id}", self.forget),
            web.post("/v1/responses/{id}/cancel", self.cancel),
            web.get("/v1/responses/{id}/input_items", self.input_items),
            web.post("/v1/responses/input_tokens", self.count),
        ]

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """What is still being made at the end has failed."""
        yield
        for run in list(self._runs.values()):
            await run.cancel(Draining.CANCELLED)

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer one request: whole, in events, or later."""
        async with self.services.enter(request, "responses") as context:
            client, asked = context.client, await self._prepare(request, context)
            run = ResponseRun(
                asked, self.services, lambda kept: self.keep(run.name, client, kept, heavy=asked.heavy)
            )
            if asked.body.background:
                return await self._in_background(request, context, run, asked)
            return await self.services.delivery.send(request, context, run)

    async def count(self, request: web.Request) -> web.Response:
        """How many tokens a request would bring."""
        async with self.services.enter(request, "responses") as context:
            asked = await self._prepare(request, context)
            tokens = await self.services.exchange.count(asked.prepared.call, context)
        return json_response(wire.encode({"object": "response.input_tokens", "input_tokens": tokens}), {})

    async def show(self, request: web.Request) -> web.StreamResponse:
        """A stored response; with `stream=true` the events of one made in the background."""
        context, name = self.services.identify(request), request.match_info["id"]
        client = context.client
        run = self._runs.get(_key(name, client))
        if request.query.get("stream", "").lower() in ("true", "1"):
            if run is None:
                await self.stored(name, client)
                raise BadRequest("the events of this response are not kept (any more)", param="stream")
            return await self._follow(request, context, run, _cursor(request))
        response = run.response if run is not None else (await self.stored(name, client))["response"]
        return json_response(wire.encode(response), {})

    async def forget(self, request: web.Request) -> web.Response:
        """Delete a stored response; one that is still being made is stopped."""
        client, name = self.services.identify(request).client, request.match_info["id"]
        await self.stored(name, client)
        run = self._runs.pop(_key(name, client), None)
        if run is not None:
            await run.cancel()
        await self.keep(name, client, None)
        return json_response(wire.encode({"id": name, "object": "response", "deleted": True}), {})

    async def cancel(self, request: web.Request) -> web.Response:
        """Stop one that is made in the background; asked again, or too late, it answers what there is."""
        client, name = self.services.identify(request).client, request.match_info["id"]
        response = (await self.stored(name, client))["response"]
        if not response["background"]:
            raise BadRequest("only background responses can be cancelled")
        run = self._runs.get(_key(name, client))
        if run is not None:
            await run.cancel()
            response = run.response
        elif response["status"] in _UNFINISHED:
            raise BadRequest(
                "this response is made by another process of the gateway: please try again",
                status=409, code="conflict", retry_after=1,
            )  # fmt: skip
        return json_response(wire.encode(response), {})

    async def input_items(self, request: web.Request) -> web.Response:
        """What a stored response was asked."""
        stored = await self.stored(request.match_info["id"], self.services.identify(request).client)
        items = stored["input"]
        ids = [item.get("id") for item in items]
        page = {"object": "list", "data": items, "has_more": False, "first_id": ids[0] if ids else None,
                "last_id": ids[-1] if ids else None}  # fmt: skip
        return json_response(wire.encode(page), {})

    async def stored(self, name: str, client: Client, param: str | None = None) -> Object:
        """What is kept under a response's id for this key. Raises NotFound, or BadRequest naming `param`."""
        key = _key(name, client)
        text = (await self.services.stored_responses.get([key], time.time())).get(key)
        if text:
            return _alive(msgspec.json.decode(text))
        message = f"Previous response with id '{name[:80]}' not found."
        if param is not None:
            raise BadRequest(message, param=param, code="previous_response_not_found")
        raise NotFound(f"Response with id '{name[:80]}' not found.", code="response_not_found")

    async def keep(self, name: str, client: Client, kept: Object | None, *, heavy: bool = False) -> None:
        """Store a response, or with None forget it. A heavy one is encoded in a thread."""
        encoded = await offload(heavy, msgspec.json.encode, kept)
        text = encoded.decode() if kept is not None else ""
        await self.services.stored_responses.put({_key(name, client): text}, time.time())

    async def _in_background(
        self, request: web.Request, context: RequestContext, run: ResponseRun, asked: PreparedResponse
    ) -> web.StreamResponse:
        """Begin a response; answer with it as it is now, or with its events."""
        if asked.body.store is False:
            raise BadRequest("background responses are stored: `store` must not be false", param="store")
        self._make_room()
        self._runs[_key(run.name, context.client)] = run
        run.start(context.in_background("/v1/responses (background)"))
        if context.report.stream:
            return await self._follow(request, context, run, -1)
        return json_response(wire.encode(run.response), run.headers(run.model, context))

    def _make_room(self) -> None:
        """Forget the events of what is done, oldest first. Raises RateLimited when too much is being made."""
        done = [key for key, run in self._runs.items() if run.buffer.ended]
        room = self.config.megabytes * _MIB
        most = self.config.background
        while done and (
            len(self._runs) >= 2 * most or sum(r.buffer.bytes for r in self._runs.values()) > room
        ):
            del self._runs[done.pop(0)]
        if len(self._runs) - len(done) >= most or sum(r.buffer.bytes for r in self._runs.values()) > room:
            raise RateLimited(
                f"This gateway makes {most} responses in the background at once (responses.background).",
                code="gateway_overloaded",
                retry_after=5,
            )

    async def _follow(
        self, request: web.Request, context: RequestContext, run: ResponseRun, after: int
    ) -> web.StreamResponse:
        """Send the events with numbers above `after`. A client that leaves does not stop the response."""
        return await self.services.delivery.follow(
            request, context, run.buffer.follow(after), lambda: run.headers(run.model, context)
        )

    async def _prepare(self, request: web.Request, context: RequestContext) -> PreparedResponse:
        """Prepare a request, with all items so far as they came."""
        client, data = context.client, await read_body(request)
        body = await offload(data.heavy, data.decode, wire.decode_request)
        history: list[Any] = []
        if body.previous_response_id:
            before = await self.stored(body.previous_response_id, client, "previous_response_id")
            if before["response"]["status"] in _UNFINISHED:
                raise BadRequest("the previous response is still being made", param="previous_response_id")
            history = before["items"]
        recorded = await offload(data.heavy, self._read, data, body, history)
        options = RequestOptions(
            body.model, bool(body.stream), cache_key=body.prompt_cache_key or "", heavy=data.heavy
        )
        prepared = await self.services.preparation.prepare(recorded, options, context)
        if body.store is False:
            return PreparedResponse(body, prepared, [], data.heavy)
        items = await offload(data.heavy, _items, data.fields.get("input"))
        return PreparedResponse(body, prepared, [*history, *items], data.heavy)

    def _read(self, data: Body, body: wire.ResponseRequest, history: list[Any]) -> ConversationBuilder:
        """Return what a body says after its history. Raises BadRequest with the path of what is wrong."""
        items = msgspec.convert(history, list[wire.Item])
        recorded = conversation(body, items, strict=self.services.strict)
        review(data.fields, RESPONSES, recorded.notes)
        return recorded


def _alive(stored: Object) -> Object:
    """A response whose process has died while it was made has failed."""
    response = stored["response"]
    if response["status"] in _UNFINISHED and time.time() - stored.get("beat", 0) > STALE:
        message = "The gateway was restarted while this response was made."
        response.update(status="failed", error={"code": "server_error", "message": message})
    return stored


def _cursor(request: web.Request) -> int:
    """`starting_after`: the number of the last event that is known. Raises BadRequest for another thing."""
    number = request.query.get("starting_after", "-1")
    if not re.fullmatch(r"-1|\d{1,9}", number, re.ASCII):
        raise BadRequest("must be the sequence_number of an event", param="starting_after")
    return int(number)


def _key(name: str, client: Client) -> bytes:
    return SignatureKeys(client.scope).call(name, "response", "{}")[0]


def _items(data: msgspec.Raw | None) -> list[Any]:
    """The input as items, also when it was a text."""
    value = msgspec.json.decode(data) if data is not None else []
    if isinstance(value, str):
        value = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    items = value if isinstance(value, list) else []
    return [
        {**item, "id": item.get("id") or unique("item_")} if isinstance(item, dict) else item
        for item in items
    ]
