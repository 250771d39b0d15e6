"""Admin API on a listener of its own: issued keys, usage, state of the pool, metrics.

All but `/metrics` require the admin token. The listener belongs on loopback, a Unix socket or a private network.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hmac import compare_digest
from time import time
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Meta, Struct

from gateway.config.secret import Secret
from gateway.conversation.invalid import unsupported_value
from gateway.errors import BadRequest, GatewayError, LedgerUnavailable, NotFound, Unauthorized
from gateway.exchange.delivery import error_response, json_response
from gateway.exchange.request_body import read_body
from gateway.exchange.reservation_notes import small_budgets
from gateway.observability.prometheus import exposition
from gateway.plugin import Services
from gateway.policy.catalog import excluded_defaults
from gateway.policy.client_rules import Rules
from gateway.policy.pool_projects import ADVICE

if TYPE_CHECKING:
    from sqlalchemy import Engine

T = TypeVar("T")
_BUCKETS = {"1m": 60, "1h": 3600, "1d": 86400}
"""Values of `bucket_width` (https://platform.openai.com/docs/api-reference/usage/completions), in seconds."""
_DAY = 86400
_OWN_NAMES = {"since": "since", "until": "until", "bucket": "bucket"}
_OPENAI_NAMES = {"since": "start_time", "until": "end_time", "bucket": "bucket_width"}


class NewKey(Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/keys`."""

    name: str
    rules: Rules = Rules()
    days: Annotated[float, Meta(gt=0)] | None = None
    """Days until the key expires; None: never."""


class PutBack(Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/pool/put_back`."""

    project: str
    key_id: str = ""
    """Id of the key, as `/admin/pool` shows it; "" for the project with all its keys."""


_decode_new = msgspec.json.Decoder(NewKey).decode
_decode_put_back = msgspec.json.Decoder(PutBack).decode
_decode_rules = msgspec.json.Decoder(Rules).decode


class Admin:
    """Admin API. `services` returns those of the current application, which a reload replaces."""

    def __init__(self, services: Callable[[], Services], token: Secret | None) -> None:
        self._services = services
        self._token = token

    def app(self) -> web.Application:
        """Return the application of the admin listener."""
        app = web.Application(middlewares=[self._guard])
        app.add_routes([
            web.get("/metrics", self.metrics),
            web.get("/admin/keys", self.keys),
            web.post("/admin/keys", self.issue),
            web.put("/admin/keys/{id}/rules", self.change),
            web.post("/admin/keys/{id}/rotate", self.rotate),
            web.delete("/admin/keys/{id}", self.revoke),
            web.get("/admin/pool", self.pool),
            web.post("/admin/pool/put_back", self.put_back),
            web.get("/admin/usage", self.usage),
            web.get("/v1/organization/usage/completions", self.openai_usage),
        ])  # fmt: skip
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the token, and answer errors in OpenAI's format."""
        try:
            if request.path != "/metrics":
                self._check(request)
            return await handler(request)
        except GatewayError as error:
            return error_response(error)
        except web.HTTPException as error:
            return error_response(BadRequest(error.reason, status=error.status, code="invalid_request"))
        except ConnectionError:
            raise  # the client has left
        except Exception as error:  # noqa: BLE001 - of the database; the log has its type and its places
            return error_response(_unexpected(error))

    def _check(self, request: web.Request) -> None:
        # Bytes that are not UTF-8 are surrogates in the header's text.
        header = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        token = header.removeprefix(b"Bearer ").strip()
        if self._token is None:
            raise Unauthorized("The admin API is disabled: admin.token is not set.")
        if not token:
            raise Unauthorized("No admin token provided: send `Authorization: Bearer YOUR_TOKEN`.")
        if not compare_digest(token, self._token.reveal().encode()):
            raise Unauthorized("Incorrect admin token provided.")

    @property
    def _engine(self) -> "Engine":
        ledger = self._services().exchange.accounting.ledger
        if ledger is None:
            raise NotFound("This gateway has no ledger: set ledger.url or pool.projects.", code="no_ledger")
        engine: Engine = ledger.engine  # type: ignore[attr-defined]  # store.ledger.Ledger is the only implementation
        return engine

    async def metrics(self, _: web.Request) -> web.Response:
        """Answer with all metrics, in Prometheus's text format."""
        sources = self._services().metrics
        await sources.budgets.refresh()
        return exposition(sources)

    async def keys(self, _: web.Request) -> web.Response:
        """List issued keys, newest first, without their hashes: state, last use, what is spent and left."""
        from gateway.store.ledger.key_reports import as_json, encode, key_reports

        reports = await asyncio.to_thread(key_reports, self._engine, time())
        return json_response(encode({"data": [as_json(report) for report in reports]}), {})

    async def _changed(self, change: Callable[..., T], *arguments: Any) -> T:
        """Change keys in the database, and load them into this process; others poll every half second."""
        result = await asyncio.to_thread(change, self._engine, *arguments)
        await self._services().refresh_keys()
        return result

    async def issue(self, request: web.Request) -> web.Response:
        """Issue a key. Only this response contains it."""
        from gateway.store.ledger.client_keys import issue

        body, now = (await read_body(request)).decode(_decode_new), time()
        expires = now + body.days * _DAY if body.days is not None else None
        key_id, key = await self._changed(issue, body.name, body.rules, now, expires)
        services = self._services()
        model, accounting = services.config.models.default, services.exchange.accounting
        notes = excluded_defaults(services.config.models, body.rules)
        notes += small_budgets(
            body.rules, model, accounting.model_output(model).tokens, accounting.prices, now
        )
        return _json({"id": key_id, "key": key, **({"notes": notes} if notes else {})}, 201)

    async def change(self, request: web.Request) -> web.Response:
        """Replace all rules of a key."""
        from gateway.store.ledger.client_keys import change

        rules = (await read_body(request)).decode(_decode_rules)
        key_id = request.match_info["id"]
        return _done(await self._changed(change, key_id, rules), key_id)

    async def rotate(self, request: web.Request) -> web.Response:
        """Replace a key by a new one; the old one ends at once."""
        from gateway.store.ledger.client_keys import rotate

        key_id = request.match_info["id"]
        key = await self._changed(rotate, key_id)
        return _json({"key": key}) if key is not None else _done(False, key_id)

    async def revoke(self, request: web.Request) -> web.Response:
        """Revoke a key."""
        from gateway.store.ledger.client_keys import revoke

        key_id = request.match_info["id"]
        return _done(await self._changed(revoke, key_id, time()), key_id)

    async def pool(self, _: web.Request) -> web.Response:
        """List projects and keys: ready, cooling down or refused, with reason, end, and what to do about a refusal."""
        states = self._services().exchange.accounting.pool.describe(time())
        data = [
            {
                **msgspec.to_builtins(state),
                "until": _iso(state.until) if state.until else None,
                "advice": ADVICE.get(state.reason, ""),
            }
            for state in states
        ]
        return _json({"data": data})

    async def put_back(self, request: web.Request) -> web.Response:
        """Use a key, or a project with all its keys, again: its refusal was a mistake, or is repaired."""
        body = (await read_body(request)).decode(_decode_put_back)
        accounting = self._services().exchange.accounting
        accounting.on_pool_update(accounting.pool.put_back(body.project, body.key_id, time()))
        return _json({"done": True})

    async def usage(self, request: web.Request) -> web.Response:
        """Return sums of the ledger.

        Query: `since` and `until` in seconds since 1970, `by` as comma-separated columns, `bucket` as 1m, 1h or 1d,
        `client` as the id or the name of a key. Rows by client have the name of its key, too.
        """
        rows = await self._rows(request.query)
        names = await self._names() if any(row.client for row in rows) else {}
        data = [{**msgspec.to_builtins(row), "name": names.get(row.client, "")} for row in rows]
        return _json({"data": data})

    async def openai_usage(self, request: web.Request) -> web.Response:
        """Return usage as OpenAI does, all buckets in one page.

        https://platform.openai.com/docs/api-reference/usage/completions
        """
        query = {
            "since": request.query.get("start_time", "0"),
            "bucket": request.query.get("bucket_width", "1d"),
        }
        if "end_time" in request.query:
            query["until"] = request.query["end_time"]
        names = {"model": "model", "api_key_id": "client", "project_id": "project"}
        values = request.query.getall("group_by", request.query.getall("group_by[]", []))
        fields = [field for value in values for field in value.split(",")]
        if unknown := [field for field in fields if field not in names]:
            raise unsupported_value(unknown[0], names, "group_by")
        query["by"] = ",".join(names[field] for field in fields)
        length = _BUCKETS.get(query["bucket"], _DAY)
        buckets: dict[float, list[dict[str, Any]]] = {}
        for row in await self._rows(query, _OPENAI_NAMES):
            grouped = {
                field: getattr(row, column) if field in fields else None for field, column in names.items()
            }
            buckets.setdefault(row.start, []).append({
                "object": "organization.usage.completions.result", "input_tokens": row.prompt,
                "output_tokens": row.completion, "input_cached_tokens": row.cached, "input_audio_tokens": row.heard,
                "output_audio_tokens": row.spoken, "num_model_requests": row.calls, "user_id": None, "batch": None,
                **grouped,
            })  # fmt: skip
        data = [
            {
                "object": "bucket",
                "start_time": int(start),
                "end_time": int(start + length),
                "results": results,
            }
            for start, results in buckets.items()
        ]
        return _json({"object": "page", "data": data, "has_more": False, "next_page": None})

    async def _rows(self, query: Mapping[str, str], names: Mapping[str, str] = _OWN_NAMES) -> list[Any]:
        """Return sums of the ledger. `names` maps parameters of `query` to the client's, for errors."""
        from gateway.store.ledger.reports import BY, usage

        by = [name for name in query.get("by", "").split(",") if name]
        if unknown := [name for name in by if name not in BY]:
            raise unsupported_value(unknown[0], BY, "by")
        bucket = query.get("bucket", "")
        if bucket and bucket not in _BUCKETS:
            raise unsupported_value(bucket, _BUCKETS, names["bucket"])
        since, until = (
            _seconds(query, name, default, names[name])
            for name, default in (("since", 0.0), ("until", time() + 1))
        )
        if since >= until:
            raise BadRequest(
                f"Invalid '{names['since']}': it is not before '{names['until']}'.", param=names["since"]
            )
        return await asyncio.to_thread(
            usage,
            self._engine,
            since,
            until,
            by,
            _BUCKETS.get(bucket, 0),
            await self._ids(query.get("client")),
        )

    async def _names(self) -> dict[str, str]:
        """Return the names of all issued keys by their ids."""
        from gateway.store.ledger.client_keys import issued

        return {key.id: key.name for key in await asyncio.to_thread(issued, self._engine)}

    async def _ids(self, client: str | None) -> list[str] | None:
        """Return the ids of the keys with an id or a name; an id that is no key's stands for itself."""
        if client is None:
            return None
        names = await self._names()
        return [key_id for key_id, name in names.items() if client in (key_id, name)] or [client]


def _unexpected(error: Exception) -> GatewayError:
    """Return the error for the client, and log what happened."""
    logger = logging.getLogger("gateway.server")
    if type(error).__module__.startswith("sqlalchemy."):  # which may not be installed
        reason = str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
        logger.error("the admin API cannot use the ledger's database: %s", reason)
        return LedgerUnavailable(f"The ledger's database cannot be used: {reason}")
    logger.error("the admin API failed", exc_info=error)
    return GatewayError("Internal gateway error; see the gateway's log.")


def _seconds(query: Mapping[str, str], name: str, default: float, param: str) -> float:
    try:
        return float(query[name]) if name in query else default
    except ValueError:
        raise BadRequest(f"Invalid '{param}': expected seconds since 1970.", param=param) from None


def _iso(at: float) -> str:
    return datetime.fromtimestamp(min(at, 4e9), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(value: Any, status: int = 200) -> web.Response:
    return json_response(msgspec.json.encode(value), {}, status)


def _done(done: bool, key_id: str) -> web.Response:
    if not done:
        raise NotFound(f"No API key with id '{key_id[:80]}', or it has been revoked.", code="not_found")
    return _json({"done": True})
