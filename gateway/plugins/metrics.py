"""`GET /metrics` for Prometheus. Off by default: behind nginx, do not let the world read it."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gateway.plugin import Plugin

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily


class Metrics(Plugin):
    """What `gateway.totals` has counted, in Prometheus's text format."""

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
        """All counters."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(self)
        text = generate_latest(registry)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    def collect(self) -> Iterable["CounterMetricFamily"]:
        """Prometheus's families, made when asked for."""
        totals, store = self.services.totals, self.services.exchange.signatures
        yield _family("gateway_exchanges", "Requests answered.", ("model", "status"), totals.exchanges)
        yield _family("gateway_tokens", "Tokens, as billed.", ("model", "kind"), totals.tokens)
        yield _family("gateway_milliseconds", "Sum of durations.", ("model",), totals.seconds)
        yield _family(
            "gateway_upstream_calls", "Calls of Gemini, retries included.", ("model",), totals.attempts
        )
        yield _family("gateway_notes", "Fields not honoured, or repaired.", ("field",), totals.notes)
        yield _family(
            "gateway_adjusted", "Refused fields, changed for another attempt.", ("field",), totals.adjusted
        )
        errors = Counter({(): getattr(store, "errors", 0)})
        yield _family("gateway_state_errors", "Reads and writes of the state file that failed.", (), errors)


def _family(name: str, told: str, labels: tuple[str, ...], values: Counter[Any]) -> "CounterMetricFamily":
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, told, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family
