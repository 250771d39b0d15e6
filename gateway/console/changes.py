"""`GET /admin/audit`: changes by operators, from the ledger."""

from aiohttp import web
from msgspec import Struct

from gateway.console.endpoint import Endpoint, Query
from gateway.console.sources import Sources, answer, cursor, cursor_text, page_size

_QUERY = (Query("limit", "rows, 1 to 500; 100 without it"), Query("cursor", "`next` of the page before"))


class Change(Struct, frozen=True):
    """One change by an operator."""

    at: float
    who: str
    how: str
    """`token`, `cookie` or `header`."""
    what: str
    """Such as `key.revoke`."""
    on: str
    """Id of the key, name of the project, id of the request; "" for the gateway."""
    detail: str


class ChangePage(Struct, frozen=True):
    """A page of changes, newest first."""

    data: list[Change]
    next: str | None


class Changes:
    """Lists what operators have changed."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        summary = "List changes by operators, newest first."
        return [Endpoint("GET", "/admin/audit", self.page, summary, _QUERY, answer=ChangePage)]

    async def page(self, request: web.Request) -> web.Response:
        """Answer with a page. Raises BadRequest, NotFound."""
        from gateway.store.ledger.audit import page

        entries, place = await self._sources.read(page, page_size(request), cursor(request))
        changes = [Change(e.at, e.who, e.how, e.what, e.target, e.detail) for e in entries]
        return answer(ChangePage(changes, cursor_text(place)))
