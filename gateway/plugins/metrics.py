"""`GET /metrics` for Prometheus. Off by default: the admin listener has it, out of the world's sight."""

from aiohttp import web

from gateway.observability.prometheus import exposition
from gateway.plugin import Plugin


class Metrics(Plugin):
    """What `gateway.observability.prometheus` collects, in Prometheus's text format."""

    def check(self) -> None:
        """Raise ValueError when the client library is missing."""
        try:
            import prometheus_client  # noqa: F401 - only who serves metrics needs it
        except ImportError:
            raise ValueError(
                "`metrics` needs the package prometheus-client: pip install 'gemini-gateway[team]'"
            ) from None

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/metrics", self.show)]

    async def show(self, _: web.Request) -> web.Response:
        """All of them."""
        return exposition(self.services)
