"""Whether the process lives, and whether it takes work: for systemd, nginx and monitors."""

from aiohttp import web

from gateway.plugin import Plugin
from gateway.server.lifecycle import DRAIN


class Health(Plugin):
    """`/healthz` and `/readyz`; neither says anything but that."""

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/healthz", self.alive), web.get("/readyz", self.ready)]

    async def alive(self, request: web.Request) -> web.Response:
        """200 while the event loop turns."""
        return web.json_response({"status": "ok"})

    async def ready(self, request: web.Request) -> web.Response:
        """200 while new work is taken, 503 from SIGTERM on."""
        if request.app[DRAIN].draining:
            return web.json_response({"status": "draining"}, status=503)
        return web.json_response({"status": "ready"})
