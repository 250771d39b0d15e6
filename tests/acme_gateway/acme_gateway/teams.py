"""A plugin without routes: a hook around every request."""

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct

from gateway.errors import Forbidden
from gateway.plugin import Plugin


class Teams(Plugin):
    """Refuse API requests that name no team of the list."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        teams: tuple[str, ...] = ()

    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/v1/") and request.headers.get("x-acme-team") not in self.config.teams:
            raise Forbidden("Send one of your teams in the header x-acme-team.", code="team_required")
        return await handler(request)
