"""Endpoints of issued keys."""

import asyncio
from collections.abc import Callable
from time import time
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from gateway.console.endpoint import Done, Endpoint
from gateway.console.sources import Sources, answer
from gateway.errors import NotFound
from gateway.exchange.delivery import json_response
from gateway.exchange.request_body import read_body
from gateway.exchange.reservation_notes import small_budgets
from gateway.policy.catalog import excluded_defaults
from gateway.policy.client_rules import Rules

T = TypeVar("T")
_DAY = 86400


class NewKey(Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/keys`."""

    name: str
    rules: Rules = Rules()
    days: Annotated[float, Meta(gt=0)] | None = None
    """Days until the key expires; None: never."""


_decode_new = msgspec.json.Decoder(NewKey).decode
_decode_rules = msgspec.json.Decoder(Rules).decode


class Keys:
    """Lists, issues and changes keys."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint("GET", "/admin/keys", self.all, "List issued keys, newest first."),
            Endpoint("POST", "/admin/keys", self.issue, "Issue a key.", body=NewKey, status=201),
            Endpoint("PUT", "/admin/keys/{id}/rules", self.change, "Replace a key's rules.", body=Rules, answer=Done),
            Endpoint("POST", "/admin/keys/{id}/rotate", self.rotate, "Replace a key by a new one."),
            Endpoint("DELETE", "/admin/keys/{id}", self.revoke, "Revoke a key.", answer=Done),
        ]  # fmt: skip

    async def all(self, _: web.Request) -> web.Response:
        """List issued keys, newest first, without their hashes: state, last use, what is spent and left."""
        from gateway.store.ledger.key_reports import as_json, encode, key_reports

        reports = await self._sources.read(key_reports, time())
        return json_response(encode({"data": [as_json(report) for report in reports]}), {})

    async def _changed(self, change: Callable[..., T], *arguments: Any) -> T:
        """Change keys in the database, and load them into this process; others poll every half second."""
        result = await asyncio.to_thread(change, self._sources.engine, *arguments)
        await self._sources.services.refresh_keys()
        return result

    async def issue(self, request: web.Request) -> web.Response:
        """Issue a key. Only this response contains it."""
        from gateway.store.ledger.client_keys import issue

        body, now = (await read_body(request)).decode(_decode_new), time()
        expires = now + body.days * _DAY if body.days is not None else None
        key_id, key = await self._changed(issue, body.name, body.rules, now, expires)
        await self._sources.audit(request, "key.issue", key_id, body.name)
        services = self._sources.services
        model, accounting = services.config.models.default, services.exchange.accounting
        notes = excluded_defaults(services.config.models, body.rules)
        notes += small_budgets(
            body.rules, model, accounting.model_output(model).tokens, accounting.prices, now
        )
        return answer({"id": key_id, "key": key, **({"notes": notes} if notes else {})}, 201)

    async def change(self, request: web.Request) -> web.Response:
        """Replace a key's rules."""
        from gateway.store.ledger.client_keys import change

        rules = (await read_body(request)).decode(_decode_rules)
        key_id = request.match_info["id"]
        return await self._done(request, "key.rules", await self._changed(change, key_id, rules))

    async def rotate(self, request: web.Request) -> web.Response:
        """Replace a key by a new one; the old one ends at once."""
        from gateway.store.ledger.client_keys import rotate

        key = await self._changed(rotate, request.match_info["id"])
        await self._done(request, "key.rotate", key is not None)
        return answer({"key": key})

    async def revoke(self, request: web.Request) -> web.Response:
        """Revoke a key."""
        from gateway.store.ledger.client_keys import revoke

        return await self._done(
            request, "key.revoke", await self._changed(revoke, request.match_info["id"], time())
        )

    async def _done(self, request: web.Request, what: str, done: bool) -> web.Response:
        """Record a change of a key. Raises NotFound if there was none to change."""
        key_id = request.match_info["id"]
        if not done:
            raise NotFound(f"No API key with id '{key_id[:80]}', or it has been revoked.", code="not_found")
        await self._sources.audit(request, what, key_id, self._sources.services.access.name(key_id))
        return answer(Done())
