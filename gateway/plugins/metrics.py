"""`GET /metrics` for Prometheus. Off by default: behind nginx, do not let the world read it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

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
        yield _family(
            "gateway_exchanges", "Requests answered.", ("model", "status"), totals.exchanges.items()
        )
        for name, told in _BY_MODEL.items():
            sums = (((model,), getattr(found, name)) for model, found in totals.models.items())
            yield _family(f"gateway_{name}", told, ("model",), sums)
        notes = (((name,), count) for name, count in totals.notes.items())
        yield _family("gateway_notes", "Fields not honoured, or repaired.", ("field",), notes)
        adjusted = (((name,), count) for name, count in totals.adjusted.items())
        yield _family(
            "gateway_adjusted", "Refused fields, changed for another attempt.", ("field",), adjusted
        )
        failed = [((), getattr(store, "errors", 0))]
        yield _family("gateway_state_errors", "Reads and writes of the state file that failed.", (), failed)


_BY_MODEL = {
    "attempts": "Calls of Gemini, retries included.",
    "milliseconds": "Sum of durations.",
    "prompt_tokens": "Tokens asked, as billed.",
    "completion_tokens": "Tokens answered, thoughts included, as billed.",
}


def _family(
    name: str, told: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[object, ...], float]]
) -> "CounterMetricFamily":
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, told, labels=labels)
    for key, value in sorted(values, key=str):
        family.add_metric([str(label) for label in key], value)
    return family
