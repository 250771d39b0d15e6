"""Endpoints of usage: sums of the ledger, and the same in OpenAI's format."""

import asyncio
import csv
from collections.abc import Mapping
from functools import partial
from io import StringIO
from time import time
from typing import Any

from aiohttp import web

from gateway.console.endpoint import Endpoint, Query
from gateway.console.rows import dollars, encoded
from gateway.console.sources import Sources, answer
from gateway.conversation.invalid import unsupported_value
from gateway.errors import BadRequest
from gateway.exchange.replies.delivery import json_response
from gateway.observability.minutes import percentile_ms

_BUCKETS = {"1m": 60, "1h": 3600, "1d": 86400}
"""Values of `bucket_width` (https://platform.openai.com/docs/api-reference/usage/completions), in seconds."""
_DAY = 86400
_MOST_ROWS = 5000
_CHOSEN = ("model", "project", "surface", "outcome")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""Those of `store.ledger.reports`, whose module needs a package that may not be installed."""
_OWN_NAMES = {"since": "since", "until": "until", "bucket": "bucket"}
_OPENAI_NAMES = {"since": "start_time", "until": "end_time", "bucket": "bucket_width"}
_QUERY = (
    Query("since", "begin, in seconds since 1970"),
    Query("until", "end, in seconds since 1970"),
    Query("by", "columns to group by, with commas: client, project, model, surface, outcome"),
    Query("bucket", "`1m`, `1h` or `1d`; one bucket without it"),
    Query("client", "id or name of a key"),
    *(Query(name, f"only calls of this {name}") for name in ("model", "project", "surface", "outcome")),
    Query("percentiles", "`1` adds the percentiles of first byte and duration"),
    Query("format", "`json` or `csv`"),
)


class Usage:
    """Reports the sums of the ledger."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint("GET", "/admin/usage", self.usage, "Return sums of the ledger.", query=_QUERY),
            Endpoint("GET", "/v1/organization/usage/completions", self.openai_usage,
                     "Return usage as OpenAI's usage API does."),
        ]  # fmt: skip

    async def usage(self, request: web.Request) -> web.Response:
        """Return sums of the ledger, as JSON or as CSV. Rows by client have the name of its key, too."""
        query = request.query
        form = query.get("format", "json")
        if form not in ("json", "csv"):
            raise unsupported_value(form, ("json", "csv"), "format")
        times = query.get("percentiles") == "1"
        rows = await self._rows(query, times=times)
        names = await self._sources.key_names() if any(row.client for row in rows) else {}
        return await asyncio.to_thread(
            _answer, rows, names, form, times=times
        )  # thousands of rows take a while

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
        return answer({"object": "page", "data": data, "has_more": False, "next_page": None})

    async def _rows(
        self, query: Mapping[str, str], names: Mapping[str, str] = _OWN_NAMES, *, times: bool = False
    ) -> list[Any]:
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
        chosen = {name: query[name] for name in _CHOSEN if name in query}
        ids = await self._ids(query.get("client"))
        read = partial(usage, chosen=chosen, times=times, most=_MOST_ROWS + 1)
        return await self._sources.read(read, since, until, by, _BUCKETS.get(bucket, 0), ids)

    async def _ids(self, client: str | None) -> list[str] | None:
        """Return the ids of the keys with an id or a name; an id that is no key's stands for itself."""
        if client is None:
            return None
        names = await self._sources.key_names()
        return [key_id for key_id, name in names.items() if client in (key_id, name)] or [client]


def _row(row: Any, names: Mapping[str, str], *, times: bool) -> dict[str, Any]:
    """Return a row for an answer."""
    values = {
        name: getattr(row, name) for name in row.__struct_fields__ if name not in ("first_bytes", "durations")
    }
    counts = {"first_byte": row.first_bytes, "duration": row.durations}
    percentiles = {
        f"{name}_p{share}_ms": percentile_ms(counted, BOUNDS, share / 100) if times else None
        for name, counted in counts.items()
        for share in (50, 95)
    }
    return {**values, "name": names.get(row.client, ""), "dollars": dollars(row.micros), **percentiles}


def _answer(rows: list[Any], names: Mapping[str, str], form: str, *, times: bool) -> web.Response:
    """Return the answer with all rows."""
    data = [_row(row, names, times=times) for row in rows[:_MOST_ROWS]]
    if form == "csv":
        return _csv(data)
    return json_response(encoded({"data": data, "more": len(rows) > _MOST_ROWS}), {})


def _csv(data: list[dict[str, Any]]) -> web.Response:
    """Return rows as CSV (RFC 4180). A text that a spreadsheet would take for a formula begins with an apostrophe."""
    text = StringIO()
    writer = csv.DictWriter(text, list(data[0]) if data else ["start"])
    writer.writeheader()
    for row in data:
        writer.writerow({
            name: f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA else value
            for name, value in row.items()
        })  # fmt: skip
    headers = {"Content-Disposition": 'attachment; filename="usage.csv"'}
    return web.Response(text=text.getvalue(), content_type="text/csv", charset="utf-8", headers=headers)


def _seconds(query: Mapping[str, str], name: str, default: float, param: str) -> float:
    try:
        return float(query[name]) if name in query else default
    except ValueError:
        raise BadRequest(f"Invalid '{param}': expected seconds since 1970.", param=param) from None
