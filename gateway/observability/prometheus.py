"""What the gateway counts, told to Prometheus: the table of metrics, from which docs/metrics.md is made."""

from collections.abc import Callable, Iterable
from time import time
from typing import TYPE_CHECKING, Literal

from aiohttp import web
from msgspec import Struct

from gateway import __version__
from gateway.observability.statistics import Histogram
from gateway.plugin import Services

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Samples = Iterable[tuple[tuple[object, ...], float | Histogram]]
"""Label values and number, or numbers."""
Kind = Literal["counter", "gauge", "histogram"]


class Family(Struct, frozen=True):
    """One metric: what it is called, what it tells, its labels, and where its numbers come from."""

    name: str
    told: str
    labels: tuple[str, ...]
    samples: Callable[[Services], Samples]
    kind: Kind = "counter"

    @property
    def series(self) -> tuple[str, ...]:
        """What is asked for in PromQL, the usual one first."""
        return tuple(self.name + suffix for suffix in _SUFFIXES[self.kind])


def _by_model(name: str) -> Callable[[Services], Samples]:
    return lambda services: (
        ((model,), getattr(found, name)) for model, found in services.totals.models.items()
    )


def _counted(name: str) -> Callable[[Services], Samples]:
    return lambda services: (((key,), n) for key, n in getattr(services.totals, name).items())


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
    Family("gateway_attempts", "Calls of Gemini by the model that was asked, retries included.", ("model",),
           lambda s: (((model,), n) for model, n in s.totals.calls.items())),
    Family("gateway_duration_seconds", "How long requests took that asked Gemini.", ("model",),
           _by_model("duration"), "histogram"),
    Family("gateway_first_byte_seconds", "Times to the first byte of streams.", ("model",),
           _by_model("first_byte"), "histogram"),
    Family("gateway_chunk_gap_seconds",
           "The longest time between two reads of each stream; a client that reads slowly makes it longer.",
           ("model",), _by_model("chunk_gap"), "histogram"),
    Family("gateway_prompt_tokens", "Tokens asked, as billed.", ("model",), _by_model("prompt_tokens")),
    Family("gateway_completion_tokens", "Tokens answered, thoughts included, as billed.", ("model",),
           _by_model("completion_tokens")),
    Family("gateway_errors", "Failed requests, by Gemini's status (0: none) and our code.", ("status", "code"),
           lambda s: s.totals.errors.items()),
    Family("gateway_upstream_errors",
           "Failed calls of Gemini, those included that another attempt made good: `upstream_unreachable`,"
           " `upstream_timeout`, `upstream_incomplete`, `quota_per_minute`, `quota_per_day`, or another code.",
           ("model", "cause"), lambda s: s.totals.failures.items()),
    Family("gateway_notes", "Fields not honoured, or repaired; `other` where there are too many.", ("field",),
           _counted("notes")),
    Family("gateway_fallbacks", "Models given up for the next of their chain, by the code of the error.", ("code",),
           lambda s: (((code,), n) for code, n in s.totals.fallbacks.items())),
    Family("gateway_hedges", "Second projects asked beside a silent first, which won or lost.", ("outcome",),
           lambda s: (((outcome,), n) for outcome, n in s.totals.hedges.items())),
    Family("gateway_cache", "Requests that asked for a kept answer, by what became of it.", ("outcome",),
           lambda s: (((outcome,), n) for outcome, n in s.totals.cache.items())),
    Family("gateway_adjusted", "Refused fields, changed for another attempt.", ("field",), _counted("adjusted")),
    Family("gateway_signature_dummies", "Histories sent with a dummy for a thought signature that is unknown.", (),
           lambda s: [((), s.totals.dummies)]),
    Family("gateway_in_progress", "Requests in progress.", (), lambda s: [((), s.admission.in_progress)], "gauge"),
    Family("gateway_in_progress_limit", "How many there may be: `limits.streams`.", (),
           lambda s: [((), s.config.limits.streams)], "gauge"),
    Family("gateway_pool_resting", "1 for a key, or a project for a model, that is not used now; why.",
           ("project", "key", "model", "reason"), _pool, "gauge"),
    Family("gateway_pool_in_flight", "Calls of a project for a model.", ("project", "model"), _in_flight, "gauge"),
    Family("gateway_state_errors", "Reads and writes of the state file that failed.", (),
           lambda s: [((), getattr(s.exchange.stores.signatures, "errors", 0))]),
    Family("gateway_ledger_errors", "Transactions of the ledger that failed.", (), _ledger("errors")),
    Family("gateway_ledger_dropped", "Rows of the ledger that were lost.", (), _ledger("dropped")),
    Family("gateway_ledger_waiting", "Rows that are not written yet.", (), _ledger("waiting"), "gauge"),
    Family("gateway_shared_errors", "Calls of Redis that failed.", (),
           lambda s: [((), getattr(s.counters(), "errors", 0))]),
    Family("gateway_shared_degraded", "1 while Redis is not used because it fails.", (),
           lambda s: [((), float(getattr(s.counters(), "degraded", False)))], "gauge"),
    Family("gateway_log_dropped", "Lines of the log that were lost because nobody read.", (),
           lambda s: [((), s.lines_dropped())]),
    Family("gateway_loop_lag_seconds", "The most that the event loop was late in the last minute.", (),
           lambda s: [((), s.lag.largest)], "gauge"),
    Family("gateway_build_info", "1; the version is a label.", ("version",),
           lambda _: [((__version__,), 1.0)], "gauge"),
)  # fmt: skip
PROCESS = (
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
)
"""The process's own, as prometheus-client tells them on Linux."""

_SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("", "_bucket", "_sum", "_count"),
}


def markdown() -> str:
    """docs/metrics.md."""
    rows = (f"| `{one.series[0]}` | {one.kind} | {', '.join(one.labels)} | {one.told} |" for one in FAMILIES)
    head = ["# Metrics", "", "Made by `make docs` from `gateway/metrics.py`; a test holds the two equal.", ""]
    process = f"Of the process, on Linux: {', '.join(f'`{name}`' for name in PROCESS)}."
    return "\n".join([*head, "| name | kind | labels | what |", "|---|---|---|---|", *rows, "", process, ""])


class _Collector:
    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> "Iterable[Metric]":
        """Prometheus's families, made when asked for."""
        return [_metric(one, self._services) for one in FAMILIES]


def _metric(one: Family, services: Services) -> "Metric":
    from prometheus_client.core import Metric

    metric = Metric(one.name, one.told, one.kind)
    for key, value in sorted(one.samples(services), key=lambda sample: str(sample[0])):
        labels = dict(zip(one.labels, map(str, key), strict=True))
        if isinstance(value, Histogram):
            _add_histogram(metric, labels, value)
        else:
            metric.add_sample(one.series[0], labels, value)
    return metric


def _add_histogram(metric: "Metric", labels: dict[str, str], found: Histogram) -> None:
    counts = found.cumulative()
    for bound, count in zip((*found.bounds, "+Inf"), counts, strict=True):
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": str(bound)}, count)
    metric.add_sample(f"{metric.name}_count", labels, counts[-1])
    metric.add_sample(f"{metric.name}_sum", labels, found.sum)


def exposition(services: Services) -> web.Response:
    """All metrics in Prometheus's text format."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Collector(services))
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    return web.Response(body=generate_latest(registry), headers=headers)
