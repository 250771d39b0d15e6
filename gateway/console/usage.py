"""Endpoints of usage: sums of the ledger, and the same in OpenAI's format."""

import asyncio
from collections.abc import Mapping
from time import time
from typing import Any

import msgspec
from aiohttp import web

from gateway.console.endpoint import Endpoint, Query
from gateway.console.sources import Sources, answer
from gateway.conversation.invalid import unsupported_value
from gateway.errors import BadRequest

_BUCKETS = {"1m": 60, "1h": 3600, "1d": 86400}
"""Values of `bucket_width` (https://platform.openai.com/docs/api-reference/usage/completions), in seconds."""
_DAY = 86400
_OWN_NAMES = {"since": "since", "until": "until", "bucket": "bucket"}
_OPENAI_NAMES = {"since": "start_time", "until": "end_time", "bucket": "bucket_width"}
_QUERY = (
    Query("since", "begin, in seconds since 1970"),
    Query("until", "end, in seconds since 1970"),
    Query("by", "columns to group by, with commas: client, project, model, surface, outcome"),
    Query("bucket", "`1m`, `1h` or `1d`; one bucket without it"),
    Query("client", "id or name of a key"),
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
        """Return sums of the ledger.

        Query: `since` and `until` in seconds since 1970, `by` as comma-separated columns, `bucket` as 1m, 1h or 1d,
        `client` as the id or the name of a key. Rows by client have the name of its key, too.
        """
        rows = await self._rows(request.query)
        names = await self._sources.key_names() if any(row.client for row in rows) else {}
        data = [{**msgspec.to_builtins(row), "name": names.get(row.client, "")} for row in rows]
        return answer({"data": data})

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
            self._sources.engine,
            since,
            until,
            by,
            _BUCKETS.get(bucket, 0),
            await self._ids(query.get("client")),
        )

    async def _ids(self, client: str | None) -> list[str] | None:
        """Return the ids of the keys with an id or a name; an id that is no key's stands for itself."""
        if client is None:
            return None
        names = await self._sources.key_names()
        return [key_id for key_id, name in names.items() if client in (key_id, name)] or [client]


def _seconds(query: Mapping[str, str], name: str, default: float, param: str) -> float:
    try:
        return float(query[name]) if name in query else default
    except ValueError:
        raise BadRequest(f"Invalid '{param}': expected seconds since 1970.", param=param) from None
