"""What the gateway counts, told to Prometheus: the table of metrics, from which docs/metrics.md is made."""

from collections.abc import Callable, Iterable
from time import time
from typing import TYPE_CHECKING, Literal

from aiohttp import web
from msgspec import Struct

from gateway.plugin import Services

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Samples = Iterable[tuple[tuple[object, ...], float]]
"""Label values and number."""


class Family(Struct, frozen=True):
    """One metric: what it is called, what it tells, its labels, and where its numbers come from."""

    name: str
    told: str
    labels: tuple[str, ...]
    samples: Callable[[Services], Samples]
    kind: Literal["counter", "gauge"] = "counter"


def _by_model(name: str) -> Callable[[Services], Samples]:
    return lambda services: (
        ((model,), getattr(found, name)) for model, found in services.totals.models.items()
    )


def _pool(services: Services) -> Samples:
    for one in services.exchange.accounts.pool.describe(time()):
        yield (one.project, one.key_id, one.model, one.reason), float(one.state != "ready")


def _in_flight(services: Services) -> Samples:
    states = services.exchange.accounts.pool.describe(time())
    return (((one.project, one.model), float(one.in_flight)) for one in states if one.model)


def _ledger(name: str) -> Callable[[Services], Samples]:
    return lambda services: [((), float(getattr(services.exchange.accounts.ledger, name, 0)))]


FAMILIES: tuple[Family, ...] = (
    Family("gateway_exchanges", "Requests answered.", ("model", "status"), lambda s: s.totals.exchanges.items()),
    Family("gateway_attempts", "Calls of Gemini, retries included.", ("model",), _by_model("attempts")),
    Family("gateway_milliseconds", "Sum of durations.", ("model",), _by_model("milliseconds")),
    Family("gateway_first_byte_milliseconds", "Sum of times to the first byte of streams.", ("model",),
           _by_model("first_byte_milliseconds")),
    Family("gateway_streams", "Streams that had a first byte.", ("model",), _by_model("streams")),
    Family("gateway_prompt_tokens", "Tokens asked, as billed.", ("model",), _by_model("prompt_tokens")),
    Family("gateway_completion_tokens", "Tokens answered, thoughts included, as billed.", ("model",),
           _by_model("completion_tokens")),
    Family("gateway_upstream_errors", "Failed calls, by Gemini's status and our code.", ("status", "code"),
           lambda s: s.totals.errors.items()),
    Family("gateway_notes", "Fields not honoured, or repaired.", ("field",),
           lambda s: (((name,), n) for name, n in s.totals.notes.items())),
    Family("gateway_adjusted", "Refused fields, changed for another attempt.", ("field",),
           lambda s: (((name,), n) for name, n in s.totals.adjusted.items())),
    Family("gateway_in_progress", "Requests in progress.", (), lambda s: [((), s.admission.in_progress)], "gauge"),
    Family("gateway_pool_resting", "1 for a key, or a project for a model, that is not used now; why.",
           ("project", "key", "model", "reason"), _pool, "gauge"),
    Family("gateway_pool_in_flight", "Calls of a project for a model.", ("project", "model"), _in_flight, "gauge"),
    Family("gateway_state_errors", "Reads and writes of the state file that failed.", (),
           lambda s: [((), getattr(s.exchange.signatures, "errors", 0))]),
    Family("gateway_ledger_errors", "Transactions of the ledger that failed.", (), _ledger("errors")),
    Family("gateway_ledger_dropped", "Rows of the ledger that were lost.", (), _ledger("dropped")),
    Family("gateway_ledger_waiting", "Rows that are not written yet.", (), _ledger("waiting"), "gauge"),
    Family("gateway_shared_errors", "Calls of Redis that failed.", (),
           lambda s: [((), getattr(s.counters(), "errors", 0))]),
    Family("gateway_shared_degraded", "1 while Redis is not used because it fails.", (),
           lambda s: [((), float(getattr(s.counters(), "degraded", False)))], "gauge"),
)  # fmt: skip


_SUFFIX = {"counter": "_total", "gauge": ""}


def markdown() -> str:
    """docs/metrics.md."""
    rows = (
        f"| `{one.name}{_SUFFIX[one.kind]}` | {one.kind} | {', '.join(one.labels)} | {one.told} |"
        for one in FAMILIES
    )
    head = ["# Metrics", "", "Made by `make docs` from `gateway/metrics.py`; a test holds the two equal.", ""]
    return "\n".join([*head, "| name | kind | labels | what |", "|---|---|---|---|", *rows, ""])


class _Collector:
    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> "Iterable[Metric]":
        """Prometheus's families, made when asked for."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for one in FAMILIES:
            kind = CounterMetricFamily if one.kind == "counter" else GaugeMetricFamily
            family = kind(one.name, one.told, labels=one.labels)
            for key, value in sorted(one.samples(self._services), key=str):
                family.add_metric([str(label) for label in key], value)
            yield family


def exposition(services: Services) -> web.Response:
    """All metrics in Prometheus's text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector(services))
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    return web.Response(body=generate_latest(registry), headers=headers)
