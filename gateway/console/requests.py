"""Endpoints of requests: the last ones, one with its calls, those in progress, and the ledger's calls."""

import asyncio
from collections.abc import Iterable
from math import ceil
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from aiohttp import web
from msgspec import structs

from gateway.console import notes_zh
from gateway.console.endpoint import Done, Endpoint, Query
from gateway.console.error_table import explained, meaning
from gateway.console.error_table_zh import in_language
from gateway.console.filter import parse
from gateway.console.merged import pages, places, plain, running
from gateway.console.rows import dollars, encoded, row
from gateway.console.sources import Sources, answer, cursor, cursor_text, page_size, seconds, unexpected
from gateway.console.timeline import Phase, Span, phases
from gateway.conversation.notes import kind
from gateway.errors import NotFound
from gateway.exchange.cancellation import BY_OPERATOR
from gateway.exchange.context import CONTEXT, RequestContext
from gateway.exchange.replies.delivery import json_response
from gateway.observability.recent import Recent
from gateway.observability.request_log import RequestLog

if TYPE_CHECKING:
    from gateway.store.ledger.calls import Call

_MAX_RUNNING = 500
_MARGIN = 5.0
"""Seconds around a request within which its calls are looked for."""
_COST_WAIT = 1.0
"""Seconds that a list waits for the costs of its requests."""
_PAGES = (Query("limit", "rows, 1 to 500; 100 without it"), Query("cursor", "`next` of the page before"))
_TIMES = (
    Query("since", "begin, in seconds since 1970; a day ago without it"),
    Query("until", "end, in seconds since 1970"),
)
_DAY = 86400.0


class Requests:
    """Shows requests, and cancels those in progress."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        sources.fleet.on("requests", self._asked_page)
        sources.fleet.on("request", self._asked_request)
        sources.fleet.on("running", self._asked_running)
        sources.fleet.on("cancel", self._asked_cancel)

    async def _asked_page(self, values: dict[str, Any]) -> Any:
        return await self._page(values["limit"], values["before"], values["filter"], self._sources.fleet.name)

    async def _asked_request(self, values: dict[str, Any]) -> Any:
        return await self._shown(values["id"])

    async def _asked_running(self, _: dict[str, Any]) -> Any:
        return self._in_progress()

    async def _asked_cancel(self, values: dict[str, Any]) -> Any:
        return self._cancelled(values["id"])

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        chosen = tuple(
            Query(name, f"only calls of this {name}") for name in ("client", "project", "model", "outcome")
        )
        return [
            Endpoint("GET", "/admin/requests", self.last, "List the last requests, newest first.",
                     (Query("filter", "such as `status:429 key:ada model:*flash* >5s`"), *_PAGES)),
            Endpoint("GET", "/admin/requests/{id}", self.show, "Show one of the last requests, with its calls."),
            Endpoint("GET", "/admin/running", self.running, "List requests in progress, oldest first."),
            Endpoint("DELETE", "/admin/running/{id}", self.cancel, "Cancel a request in progress.", answer=Done),
            Endpoint("GET", "/admin/attempts", self.attempts, "List the ledger's calls of Gemini, newest first.",
                     (*_TIMES, *chosen, *_PAGES)),
        ]  # fmt: skip

    async def last(self, request: web.Request) -> web.Response:
        """Answer with a page of the last requests. Raises BadRequest."""
        limit, text = page_size(request), request.query.get("filter", "")
        before = places(request.query.get("cursor"), self._sources.fleet.name)
        own = await self._page(limit, before, text, self._sources.fleet.name)
        parts = await self._sources.fleet.ask("requests", limit=limit, before=before, filter=text)
        return json_response(encoded(pages(limit, before, (self._sources.fleet.name, own), parts)), {})

    async def _page(self, limit: int, before: dict[str, int], text: str, own: str) -> dict[str, Any]:
        """Return a page of this process's requests. With a place of others only, it has none. Raises BadRequest."""
        passes, number = parse(text), before.get(own, 0 if before else None)
        services = self._sources.services
        recent, name = services.observed.recent, services.access.name
        entries: list[Recent] = []
        following: int | None = None
        matched = 0
        for entry in recent.newest_first(number):
            if not passes(entry, name):
                continue
            matched += 1
            if len(entries) < limit:
                entries.append(entry)
            elif following is None:
                following = entries[-1].number
                if not text:
                    break
        costs = await self._costs(entries)
        oldest = next(iter(recent.since(recent.oldest - 1, len(recent))), None)
        body = {
            "data": [row(entry, name, costs.get(entry.record.request_id)) for entry in entries],
            "next": following if following is not None else None,
            "newest": recent.newest,
            "oldest_at": oldest.at if oldest is not None else None,
            "held": len(recent),
            "matched": matched if text else len(recent),
            "running": services.admission.in_progress,
        }
        return dict(plain(body))

    async def show(self, request: web.Request) -> web.Response:
        """Answer with a request, its calls, and the meaning of its notes and of its error. Raises NotFound."""
        request_id, services = request.match_info["id"], self._sources.services
        body = await self._shown(request_id)
        if body is None:
            parts = await self._sources.fleet.ask("request", id=request_id)
            body = next((part for part in parts.data.values() if part), None)
        if body is None:
            raise NotFound(
                f"No request with id '{request_id[:80]}' among the last {len(services.observed.recent)}; "
                "older ones are in the log, and their calls in /admin/attempts.",
                code="not_found",
            )
        language = request.headers.get("Accept-Language")
        if body["error"] is not None:
            body["error"] = in_language(body["error"], language)
        for note in body["notes"]:
            note["meaning"] = notes_zh.in_language(note["meaning"], language)
        return json_response(encoded(body), {})

    async def _shown(self, request_id: str) -> dict[str, Any] | None:
        """Return a request of this process."""
        services = self._sources.services
        entry = next(
            (e for e in services.observed.recent.newest_first() if e.record.request_id == request_id), None
        )
        if entry is None:
            return None
        record = entry.record
        calls, costs = await self._calls(entry), await self._costs([entry])
        error = (
            explained(record.error, record.status, record.refused_by) if record.error is not None else None
        )
        body = {
            "request": {
                **row(entry, services.access.name, costs.get(request_id)),
                "instance": self._sources.fleet.name,
            },
            "attempts": _of_ledger(calls, entry) if calls is not None else _of_record(record),
            "phases": [phase._asdict() for phase in _phases(calls or [], entry)],
            "attempts_from": "record" if calls is None else "ledger",
            "notes": [{"path": note, "meaning": self._meaning(record, note)} for note in record.notes or ()],
            "headers": _headers(record),
            "error": {"code": record.error, **meaning(error)} if error is not None else None,
        }
        return dict(plain(body))

    async def running(self, _: web.Request) -> web.Response:
        """Answer with the requests in progress."""
        parts = await self._sources.fleet.ask("running")
        return json_response(
            encoded(running((self._sources.fleet.name, self._in_progress()), parts, _MAX_RUNNING)), {}
        )

    def _in_progress(self) -> dict[str, Any]:
        services = self._sources.services
        contexts = sorted(self._contexts(), key=lambda context: context.started)[:_MAX_RUNNING]
        body = {
            "data": [self._running(context) for context in contexts],
            "limit": services.config.limits.streams,
            "waiting": services.admission.queued,
        }
        return dict(plain(body))

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel all requests in progress with an id: clients may choose the same one. Raises NotFound."""
        request_id = request.match_info["id"]
        if not self._cancelled(request_id):
            parts = await self._sources.fleet.ask("cancel", id=request_id)
            if not any(parts.data.values()):
                raise NotFound(f"No request with id '{request_id[:80]}' is in progress.", code="not_found")
        await self._sources.audit(request, "request.cancel", request_id)
        return answer(Done())

    def _cancelled(self, request_id: str) -> bool:
        """Cancel the requests of this process with an id. Return whether there was one."""
        tasks = [
            task
            for task, other in self._sources.services.running.items()
            if other is not None and CONTEXT in other and other[CONTEXT].request_id == request_id
        ]
        for task in tasks:
            task.cancel(BY_OPERATOR)
        return bool(tasks)

    async def attempts(self, request: web.Request) -> web.Response:
        """Answer with a page of the ledger's calls. Raises NotFound."""
        from gateway.store.ledger.calls import FILTERS, page

        until = seconds(request, "until", time() + 1)
        since = seconds(request, "since", until - _DAY)
        chosen = {name: [request.query[name]] for name in FILTERS if name in request.query}
        names = await self._sources.key_names()
        if "client" in chosen:
            value = chosen["client"][0]
            chosen["client"] = [key for key, name in names.items() if value in (key, name)] or [value]
        calls, place = await self._sources.read(
            page, since, until, chosen, page_size(request), cursor(request)
        )
        data = [{**_call(call), "name": names.get(call.client, "")} for call in calls]
        return json_response(encoded({"data": data, "next": cursor_text(place)}), {})

    def _contexts(self) -> Iterable[RequestContext]:
        for request in list(self._sources.services.running.values()):
            if request is not None and CONTEXT in request:
                yield request[CONTEXT]

    def _running(self, context: RequestContext) -> dict[str, Any]:
        report, client, passed = context.report, context.client, monotonic() - context.started
        return {
            "id": context.request_id, "started": round(time() - passed, 3), "seconds": round(passed, 3),
            "method": context.method, "path": context.path[:256], "surface": context.surface,
            "model": (report.model or "")[:256], "requested_model": (report.requested_model or "")[:256],
            "key": client.id, "key_name": self._sources.services.access.name(client.id) if client.id else "",
            "client": client.fingerprint, "stream": report.stream, "project": report.project,
            "attempts": report.attempts, "first_byte_ms": report.first_byte_ms, "instance": self._sources.fleet.name,
        }  # fmt: skip

    async def _costs(self, entries: list[Recent]) -> dict[str, int]:
        """Return the costs of requests, as far as the ledger has them and answers at once."""
        engine = self._sources.engine_or_none
        called = [entry for entry in entries if entry.record.attempts]
        if engine is None or not called:
            return {}
        from gateway.store.ledger.calls import costs

        since = min(entry.at - entry.record.duration_ms / 1000 for entry in called) - _MARGIN
        until = max(entry.at for entry in called) + _MARGIN
        ids = [entry.record.request_id for entry in called]
        try:
            reading = asyncio.to_thread(costs, engine, ids, since, until)
            return await asyncio.wait_for(reading, _COST_WAIT)
        except TimeoutError:
            return {}
        except Exception as error:  # noqa: BLE001 - of the database; the list is useful without costs
            unexpected(error)
            return {}

    async def _calls(self, entry: Recent) -> "list[Call] | None":
        """Return the ledger's calls of a request; None if it has none or does not answer."""
        engine, record = self._sources.engine_or_none, entry.record
        if engine is None:
            return None
        from gateway.store.ledger.calls import of_request

        since = entry.at - record.duration_ms / 1000 - _MARGIN
        try:
            reading = asyncio.to_thread(of_request, engine, record.request_id, since, entry.at + _MARGIN)
            return await asyncio.wait_for(reading, _COST_WAIT) or None
        except TimeoutError:
            return None
        except Exception as error:  # noqa: BLE001 - of the database; the record is shown without it
            unexpected(error)
            return None

    def _meaning(self, record: RequestLog, note: str) -> str:
        """Return what the field policies say about a field that was not honoured."""
        plugin = self._sources.services.plugins.get(record.surface)
        field = kind(note).partition(".")[0].partition("[")[0]
        tables = plugin.fields.items() if plugin is not None else ()
        exact = [table for endpoint, table in tables if endpoint == f"{record.method} {record.path}"]
        for table in exact or [table for _, table in tables]:
            if field in table:
                return table[field].how
        return ""


def _call(call: "Call", why: str = "") -> dict[str, Any]:
    values = structs.asdict(call)
    return {**values, "why": why, "dollars": dollars(values.pop("micros"))}


def _of_ledger(calls: "list[Call]", entry: Recent) -> list[dict[str, Any]]:
    """Return calls with their begin after that of the request, the failed ones with their causes of the record.

    The record has the causes in the same order.
    """
    causes = iter(entry.record.failures)
    return [
        {
            **_call(call, next(causes, "") if call.outcome == "error" else ""),
            "offset_ms": round(max(0.0, _offset(call, entry)), 1),
        }
        for call in calls
    ]


def _offset(call: "Call", entry: Recent) -> float:
    """Return the milliseconds between a request's arrival and one of its calls."""
    return (call.at - entry.at) * 1000 + entry.record.duration_ms


def _phases(calls: "list[Call]", entry: Recent) -> list[Phase]:
    record, spans = entry.record, list[Span]()
    for call in calls:
        start = _offset(call, entry)
        # one that has not ended in the ledger has ended with the request
        length = call.duration_ms if call.duration_ms is not None else record.duration_ms
        spans.append(Span(start, start + length, call.outcome == "ok"))
    return phases(spans, record.duration_ms, record.first_byte_ms if record.stream else None)


def _of_record(record: RequestLog) -> list[dict[str, Any]]:
    """Return the calls of a record as far as it tells: without times."""
    failed = [{"outcome": "error", "why": cause} for cause in record.failures[: record.attempts]]
    rest = record.attempts - len(failed)
    last = {
        "outcome": "ok",
        "why": "",
        "model": record.model,
        "project": record.project,
        "status": record.upstream_status,
    }
    return [*failed, *[last] * max(0, rest)]


def _headers(record: RequestLog) -> list[tuple[str, str]]:
    """Return the headers of the answer that the record tells."""
    notes = [*(record.notes or ()), *record.adjusted]
    values = {
        "x-request-id": record.request_id,
        "x-gateway-model": record.model if record.status < 400 else None,
        "x-gateway-notes": ",".join(notes),
        "x-gateway-fallback": ",".join(record.fallbacks or ()),
        "x-gateway-cache": record.cached,
        "retry-after": str(ceil(record.retry_after)) if record.retry_after else None,
    }
    return [(name, value) for name, value in values.items() if value]
