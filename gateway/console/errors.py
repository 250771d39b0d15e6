"""Endpoints of errors: the failures of the last day in groups, each with its meaning and its remedy."""

from time import time
from typing import Any

from aiohttp import web
from msgspec import Struct

from gateway.console import merged
from gateway.console.endpoint import Endpoint, Query
from gateway.console.error_table import ERRORS, codes, explained, meaning
from gateway.console.error_table_zh import in_language
from gateway.console.rows import encoded
from gateway.console.sources import Sources, answer, number
from gateway.exchange.replies.delivery import json_response
from gateway.observability.error_groups import SLOT, SLOTS, ErrorGroup

_DAY = SLOT * SLOTS
_MOST = 200
"""Groups of an answer."""


class Meaning(Struct, frozen=True):
    """One code of the gateway's errors."""

    code: str
    status: str
    cause: str
    remedy: str


class Meanings(Struct, frozen=True):
    """All codes."""

    data: list[Meaning]


class Errors:
    """Explains what has failed."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        sources.fleet.on("errors", self._asked)

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint("GET", "/admin/errors", self.groups, "List the last day's failures in groups.",
                     (Query("window", "seconds, 60 to 86400"),)),
            Endpoint("GET", "/admin/errors/table", self.table, "List all error codes with cause and remedy.",
                     answer=Meanings),
        ]  # fmt: skip

    async def groups(self, request: web.Request) -> web.Response:
        """Answer with the groups that were hit within a time. Raises BadRequest."""
        window, fleet = number(request, "window", _DAY, 60, _DAY), self._sources.fleet
        parts = await fleet.ask("errors", window=window)
        body = merged.errors((fleet.name, self._groups(window)), parts, _MOST)
        language = request.headers.get("Accept-Language")
        body["data"] = [in_language(group, language) for group in body["data"]]
        return json_response(encoded(body), {})

    async def _asked(self, values: dict[str, Any]) -> Any:
        return self._groups(values["window"])

    def _groups(self, window: int) -> dict[str, Any]:
        """Return the groups of this process."""
        now = time()
        groups = self._sources.services.observed.recent.errors.since(now - window)
        body = {
            "since": now - window,
            "data": [self._group(group, now, window) for group in groups[:_MOST]],
            "others": max(0, len(groups) - _MOST),
        }
        return dict(merged.plain(body))

    async def table(self, _: web.Request) -> web.Response:
        """Answer with all codes."""
        return answer(
            Meanings(
                [Meaning(code, row.status, row.cause, row.remedy) for row in ERRORS for code in codes(row)]
            )
        )

    def _group(self, group: ErrorGroup, now: float, window: float) -> dict[str, Any]:
        kind, strip, name = group.kind, group.strip(now), self._sources.services.access.name
        row = explained(kind.code, kind.status, kind.refused_by)
        recent = -(-int(window) // SLOT)
        return {
            **kind._asdict(),
            "count": sum(strip[-recent:]),
            "strip": strip,
            "first": group.first,
            "last": group.last,
            "keys": [
                {"id": key, "name": name(key) if key else "", "count": count}
                for key, count in group.keys.most_common(10)
            ],
            **meaning(row),
            "samples": list(group.samples)[::-1],
        }
