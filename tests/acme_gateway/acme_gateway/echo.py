"""A minimal plugin: one route and one option."""

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.exchange.incoming.request_body import read_body
from gateway.plugin import Plugin


class Echo(Plugin):
    """Answer with the request's body."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        prefix: str = "/acme"

    def routes(self) -> list[web.RouteDef]:
        return [web.post(f"{self.config.prefix}/echo", self.echo)]

    async def echo(self, request: web.Request) -> web.Response:
        body = await read_body(request)  # raises BadRequest (400) or TooLarge (413)
        return web.json_response({"you_said": body.decode(msgspec.json.decode)})
