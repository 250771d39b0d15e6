"""Health checks for systemd, nginx and monitors."""

from aiohttp import web

from gateway.plugin import Plugin


class Health(Plugin):
    """`GET /healthz` and `GET /readyz`."""

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/healthz", self.alive), web.get("/readyz", self.ready)]

    async def alive(self, _: web.Request) -> web.Response:
        """Answer 200 as long as the event loop runs."""
        return web.json_response({"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        """Answer 200 while requests are accepted, 503 once the process drains."""
        if self.services.draining():
            return web.json_response({"status": "draining"}, status=503)
        return web.json_response({"status": "ready"})
