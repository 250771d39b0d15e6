"""Endpoints of issued keys."""

import asyncio
from collections.abc import Callable
from functools import partial
from time import time
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.console.endpoint import Done, Endpoint, Query
from gateway.console.sources import Sources, answer, page_size
from gateway.errors import BadRequest, NotFound
from gateway.exchange.calls.reservation_notes import small_budgets
from gateway.exchange.incoming.request_body import read_body
from gateway.exchange.replies.delivery import json_response
from gateway.policy.clients.access import Client, ClientKey
from gateway.policy.clients.client_rules import Rules
from gateway.policy.models.catalog import excluded_defaults

T = TypeVar("T")
_DAY = 86400
_USAGE_DAYS = 31


class NewKey(Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/keys`."""

    name: str
    rules: Rules = Rules()
    days: Annotated[float, Meta(gt=0)] | None = None
    """Days until the key expires; None: never."""
    note: Annotated[str, Meta(max_length=200)] = ""


class Edit(Struct, forbid_unknown_fields=True):
    """Body of `PATCH /admin/keys/ID`: what is absent stays."""

    name: Annotated[str, Meta(min_length=1, max_length=80)] | UnsetType = UNSET
    note: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    expires: float | UnsetType | None = UNSET
    """Seconds since 1970; null: never."""
    rules: Rules | UnsetType = UNSET


class Rotation(Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/keys/ID/rotate`; it may be absent."""

    grace: Annotated[float, Meta(ge=0, le=7 * _DAY)] = 0.0
    """Seconds for which the old key is accepted, too."""


_decode_new = msgspec.json.Decoder(NewKey).decode
_decode_rules = msgspec.json.Decoder(Rules).decode
_decode_edit = msgspec.json.Decoder(Edit).decode
_decode_rotation = msgspec.json.Decoder(Rotation).decode
_LIST = (
    Query("limit", "keys, 1 to 500; all without it"),
    Query("cursor", "`next` of the page before"),
    Query("q", "text in the name, the id or the note"),
    Query("state", "active, expired, revoked, suspended or `over budget`"),
)


class Keys:
    """Lists, issues and changes keys."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        key = "/admin/keys/{id}"
        return [
            Endpoint("GET", "/admin/keys", self.all, "List issued keys, newest first.", _LIST),
            Endpoint("POST", "/admin/keys", self.issue, "Issue a key.", body=NewKey, status=201),
            Endpoint("GET", key, self.show, "Show a key, with its usage by day and model of 31 days."),
            Endpoint("PATCH", key, self.edit, "Change name, note, expiry or rules of a key.", body=Edit, answer=Done),
            Endpoint("PUT", f"{key}/rules", self.change, "Replace a key's rules.", body=Rules, answer=Done),
            Endpoint("POST", f"{key}/suspend", self.suspend, "Do not accept a key until it is resumed.", answer=Done),
            Endpoint("POST", f"{key}/resume", self.resume, "Accept a suspended key again.", answer=Done),
            Endpoint("POST", f"{key}/rotate", self.rotate, "Replace a key by a new one.", body=Rotation),
            Endpoint("DELETE", key, self.revoke, "Revoke a key.", answer=Done),
        ]  # fmt: skip

    async def all(self, request: web.Request) -> web.Response:
        """List issued keys, newest first, without their hashes: state, last use, what is spent and left."""
        from gateway.store.ledger.client_keys import issued
        from gateway.store.ledger.key_reports import as_json, encode, key_reports

        query = request.query
        state, text = query.get("state"), query.get("q", "").lower()
        keys = [
            key.id
            for key in await self._sources.read(issued)
            if text in f"{key.name} {key.id} {key.note}".lower()
        ]
        ids, following = keys, None
        if state is None and ("limit" in query or "cursor" in query):
            ids, following = _page(keys, query.get("cursor"), page_size(request))
        reports = await self._sources.read(key_reports, time(), ids if ids is not keys or text else None)
        shown = [report for report in reports if state in (None, report.state)]
        if state is not None and ("limit" in query or "cursor" in query):
            ids, following = _page(
                [report.key.id for report in shown], query.get("cursor"), page_size(request)
            )
            shown = [report for report in shown if report.key.id in set(ids)]
        data = [{**as_json(report), **await self._now(report.key)} for report in shown]
        return json_response(encode({"data": data, "next": following, "total": len(keys)}), {})

    async def show(self, request: web.Request) -> web.Response:
        """Answer with one key and its usage. Raises NotFound."""
        from gateway.store.ledger.key_reports import encode

        key_id, services = request.match_info["id"], self._sources.services
        self._sources.require_ledger()
        report = await services.key_report(key_id, _USAGE_DAYS)
        key = next((key for key in services.access.keys if key.id == key_id), None)
        if report is None:
            raise NotFound(f"No API key with id '{key_id[:80]}'.", code="not_found")
        return json_response(encode({**report, **(await self._now(key) if key is not None else {})}), {})

    async def _now(self, key: ClientKey) -> dict[str, Any]:
        """Return what is left of a key's limits per minute and per day, and its work in progress."""
        services, now = self._sources.services, time()
        client = Client("", key.hash[:8], key.id, key.id, key.rules)
        limits = [
            {
                "counted": state.window.counted, "seconds": state.window.seconds, "limit": state.window.limit,
                "left": state.remaining, "resets": round(now + state.reset, 3),
            }
            for state in await services.limits_left(client)
        ]  # fmt: skip
        return {"limits": limits, "running": services.access.running(key.id)}

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
        key_id, key = await self._changed(issue, body.name, body.rules, now, expires, body.note)
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

    async def edit(self, request: web.Request) -> web.Response:
        """Change what the body names. Raises NotFound, BadRequest."""
        from gateway.store.ledger.client_keys import change, edit

        body, key_id = (await read_body(request)).decode(_decode_edit), request.match_info["id"]
        values: dict[str, Any] = {
            name: value for name in ("name", "note", "expires") if (value := getattr(body, name)) is not UNSET
        }
        if not values and body.rules is UNSET:
            raise BadRequest("The body changes nothing: send name, note, expires or rules.")
        done = True
        if values:
            done = await self._changed(partial(edit, **values), key_id)
        if done and body.rules is not UNSET:
            done = await self._changed(change, key_id, body.rules)
        return await self._done(request, "key.edit", done)

    async def suspend(self, request: web.Request) -> web.Response:
        """Stop accepting a key; its work in progress ends. Raises NotFound."""
        from gateway.store.ledger.client_keys import suspend

        done = await self._changed(suspend, request.match_info["id"], time())
        return await self._done(request, "key.suspend", done)

    async def resume(self, request: web.Request) -> web.Response:
        """Accept a suspended key again. Raises NotFound."""
        from gateway.store.ledger.client_keys import suspend

        done = await self._changed(suspend, request.match_info["id"], None)
        return await self._done(request, "key.resume", done)

    async def rotate(self, request: web.Request) -> web.Response:
        """Replace a key by a new one; the old one ends at once, or after a grace period. Raises NotFound."""
        from gateway.store.ledger.client_keys import rotate

        body = (await read_body(request)).decode(_decode_rotation) if request.can_read_body else Rotation()
        until = time() + body.grace if body.grace else None
        key = await self._changed(rotate, request.match_info["id"], until)
        await self._done(request, "key.rotate", key is not None)
        return answer({"key": key, "grace_until": until})

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


def _page(ids: list[str], cursor: str | None, size: int) -> tuple[list[str], str | None]:
    """Return the ids of a page that begins after a cursor, the last id of the page before, and the next cursor."""
    begin = ids.index(cursor) + 1 if cursor in ids else 0
    page = ids[begin : begin + size]
    return page, page[-1] if begin + size < len(ids) else None
