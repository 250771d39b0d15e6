"""The README's plugin."""

from aiohttp import web
from msgspec import Struct

from gateway.plugin import Plugin


class Echo(Plugin):
    """Answer with what was sent."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        prefix: str = "/acme"

    def routes(self) -> list[web.RouteDef]:
        return [web.post(f"{self.config.prefix}/echo", self.echo)]

    async def echo(self, request: web.Request) -> web.Response:
        return web.json_response({"you_said": await request.json()})
