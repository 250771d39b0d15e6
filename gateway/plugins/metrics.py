"""`GET /metrics` for Prometheus, off by default: the admin listener serves the same on a private address."""

from aiohttp import web

from gateway.observability.prometheus import exposition
from gateway.plugin import Plugin


class Metrics(Plugin):
    """`GET /metrics` on the public listener."""

    def check(self) -> None:
        """Raise ValueError if prometheus-client is not installed."""
        try:
            import prometheus_client  # noqa: F401 - an optional dependency
        except ImportError:
            raise ValueError(
                "`metrics` needs the package prometheus-client: in a checkout, pip install '.[team]'"
            ) from None

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/metrics", self.show)]

    async def show(self, _: web.Request) -> web.Response:
        """Answer with all metrics."""
        await self.services.metrics.budgets.refresh()
        return exposition(self.services.metrics)
