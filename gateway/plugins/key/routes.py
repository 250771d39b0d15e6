"""`GET /v1/key`: the rules, limits, budgets and use of an issued key, for its holder; and as a page, `/usage`."""

import asyncio
from time import monotonic, time
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from gateway.errors import BadRequest
from gateway.exchange.replies.delivery import json_response
from gateway.exchange.replies.web_page import language
from gateway.plugin import Plugin, Services
from gateway.plugins.key.page import TEXTS, page
from gateway.policy.clients.access import Client

_MAX_REPORTS = 1000
"""Reports that are kept for `seconds`."""
_READERS = 2
"""Reports that are read from the ledger at once, so that other work of the database does not wait."""
_OWN_KEY = (
    "This is not a key of this gateway: it is passed through to Google, and the gateway keeps no rules, budgets or "
    "usage for it. Google shows its use at https://aistudio.google.com/usage."
)
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Key(Plugin):
    """`GET /v1/key`. It does not count as a request of the key, so that a holder can ask once a limit is reached."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.key`."""

        days: Annotated[
            int, Meta(ge=1, le=366, description="Most days of use in an answer; `?days=N` asks for fewer.")
        ] = 31
        seconds: Annotated[
            float, Meta(ge=0, le=3600, description="Seconds for which a report is kept and repeated.")
        ] = 1.0
        page: Annotated[
            bool, Meta(description="Whether there is a page at `/usage` that shows the same.")
        ] = True

    def __init__(self, config: Any, services: Services) -> None:
        super().__init__(config, services)
        self._reports: dict[tuple[str, int], tuple[float, dict[str, Any] | None]] = {}
        """Time of reading, and the report, by the id of the key and the number of days."""
        self._readers = asyncio.Semaphore(_READERS)

    def routes(self) -> list[web.RouteDef]:
        page = [web.get("/usage", self.show_page)] if self.config.page else []
        return [web.get("/v1/key", self.show), *page]

    async def show_page(self, request: web.Request) -> web.Response:
        """Answer with the page, which asks for the key itself."""
        return page(language(request, TEXTS))

    async def show(self, request: web.Request) -> web.Response:
        """Answer with the report on the key of the request. Raises BadRequest, Unauthorized, LedgerUnavailable."""
        client = (await self.services.identified(request, "key")).client
        days = self._days(request.query.get("days"))
        report = await self._report(client, days) if client.id else None
        body: dict[str, Any] = {"object": "key", "issued": report is not None}
        if report is not None:
            body |= {**report, "limits": await self._limits(client)}
        else:
            body |= {"message": _OWN_KEY, "rules": {}, "limits": [], "budgets": [], "usage": []}
        return json_response(_encode(body), {"Cache-Control": "no-store"})

    def _days(self, text: str | None) -> int:
        most: int = self.config.days
        if text is None:
            return most
        if not (text.isascii() and text.isdecimal() and 1 <= int(text[:4]) <= most and len(text) <= 3):
            raise BadRequest(f"Invalid 'days': expected a whole number from 1 to {most}.", param="days")
        return int(text)

    async def _report(self, client: Client, days: int) -> dict[str, Any] | None:
        """Return the report of the ledger, at most `seconds` old."""
        async with self._readers:
            kept = self._reports.get((client.id, days))
            if kept is not None and monotonic() - kept[0] < self.config.seconds:
                return kept[1]
            report = await self.services.key_report(client.id, days)
            if len(self._reports) >= _MAX_REPORTS:
                self._reports.pop(next(iter(self._reports)))
            self._reports[client.id, days] = monotonic(), report
            return report

    async def _limits(self, client: Client) -> list[dict[str, Any]]:
        """Return what is left of the limits per minute and per day."""
        now = time()
        return [
            {
                "counted": state.window.counted, "seconds": state.window.seconds, "limit": state.window.limit,
                "left": state.remaining, "resets": round(now + state.reset, 3),
            }
            for state in await self.services.limits_left(client)
        ]  # fmt: skip
