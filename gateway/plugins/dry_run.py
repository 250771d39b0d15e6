"""`POST /v1/translate`: what Gemini would be asked, without asking it; or a Gemini answer as a completion.

For whoever wonders where a field went. Off by default; `gateway translate FILE` does the same without a server.
"""

from aiohttp import web

from gateway.exchange.delivery import json_reply, read_body
from gateway.plugin import Plugin
from gateway.plugins.preview import preview


class Translate(Plugin):
    """Both directions, told apart by what the body holds."""

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/translate", self.translate)]

    async def translate(self, request: web.Request) -> web.Response:
        """A chat request to Gemini's URL and body, or Gemini's answer to a completion."""
        client = self.services.client(request)
        return json_reply(await preview(await read_body(request), client, self.services), {})
