"""Prometheus metrics: their table, its text exposition, and docs/refer/metrics.md, which is generated from it."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from time import time
from typing import TYPE_CHECKING, Literal

from aiohttp import web
from msgspec import Struct

from gateway import __version__
from gateway.config.model_table import age
from gateway.observability import process
from gateway.observability.budget_readings import BudgetReadings
from gateway.observability.loop_lag import LoopLag
from gateway.observability.process import readable
from gateway.observability.statistics import MAX_CLIENTS, OTHER, Histogram, Statistics, budget_unit
from gateway.policy.load.admission import Admission
from gateway.policy.load.memory import MemoryAccount
from gateway.policy.load.overload import Overload
from gateway.policy.pool.keypool import KeyPool

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Samples = Iterable[tuple[tuple[object, ...], float | Histogram]]
"""Label values, and a number or a histogram."""
Kind = Literal["counter", "gauge", "histogram"]
_SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("", "_bucket", "_sum", "_count"),
}


class MetricSources(Struct, frozen=True):
    """Sources of the metrics. The functions are called at each scrape."""

    statistics: Statistics
    admission: Admission
    limit: int
    """`limits.streams`."""
    overload: Overload
    memory: MemoryAccount
    pool: KeyPool
    loop_lag: LoopLag
    ledger: Callable[[], object]
    """`errors`, `dropped` and `waiting` are read from it."""
    state_errors: Callable[[], Mapping[str, int]]
    """Failed reads and writes by store."""
    shared: Callable[[], object]
    """`errors` and `degraded` are read from it."""
    lines_dropped: Callable[[], int]
    client_name: Callable[[str], str]
    """Name of an issued key by its id."""
    budgets: BudgetReadings
    """Budgets of the issued keys. To be refreshed before `exposition`."""


class Family(Struct, frozen=True):
    """One metric: its name, help text, labels, and the function that reads its samples."""

    name: str
    help: str
    labels: tuple[str, ...]
    samples: Callable[[MetricSources], Samples]
    kind: Kind = "counter"

    @property
    def series(self) -> tuple[str, ...]:
        """Names of the time series, the most used first."""
        return tuple(self.name + suffix for suffix in _SUFFIXES[self.kind])


def _by_model(name: str) -> Callable[[MetricSources], Samples]:
    """Read an attribute of each model's statistics."""
    return lambda sources: (
        ((model,), getattr(totals, name)) for model, totals in sources.statistics.models.items()
    )


def _by_key(name: str) -> Callable[[MetricSources], Samples]:
    """Read a counter whose keys are single label values."""
    return lambda sources: (((key,), n) for key, n in getattr(sources.statistics, name).items())


def _by_keys(name: str) -> Callable[[MetricSources], Samples]:
    """Read a counter whose keys are tuples of label values."""
    return lambda sources: getattr(sources.statistics, name).items()


def _by_client(name: str, divisor: int = 1) -> Callable[[MetricSources], Samples]:
    """Read a counter whose first label is the id of an issued key. Keys of one name are counted together."""

    def read(sources: MetricSources) -> Samples:
        sums: Counter[tuple[object, ...]] = Counter()
        for (key_id, *others), n in getattr(sources.statistics, name).items():
            sums[sources.client_name(key_id), *others] += n
        return [(labels, n / divisor) for labels, n in sums.items()]

    return read


def _budgets(sources: MetricSources) -> Samples:
    """Return the used share of each budget, the largest one where a name has several keys."""
    shares: dict[tuple[object, ...], float] = {}
    names: set[str] = set()
    for use in sources.budgets.last:
        name = use.key if use.key in names or len(names) < MAX_CLIENTS else OTHER
        names.add(name)
        labels = name, budget_unit(use.budget.unit), use.budget.period
        shares[labels] = max(shares.get(labels, 0.0), use.share)
    return shares.items()


def _attribute(source: str, name: str) -> Callable[[MetricSources], Samples]:
    """Read a number from a store; 0 where it has none, such as a store in memory."""
    return lambda sources: [((), float(getattr(getattr(sources, source)(), name, 0)))]


def _refused(sources: MetricSources) -> Samples:
    return [
        ((reason,), n)
        for counter in (sources.admission.refused, sources.overload.refused)
        for reason, n in counter.items()
    ]


def _pool(sources: MetricSources) -> Samples:
    for state in sources.pool.describe(time()):
        yield (state.project, state.key_id, state.model, state.reason), float(state.state != "ready")


def _kinds(sources: MetricSources) -> Samples:
    return ((item, 1.0) for item in sources.pool.kinds.items())


def _in_flight(sources: MetricSources) -> Samples:
    states = sources.pool.describe(time())
    return (((state.project, state.model), float(state.in_flight)) for state in states if state.model)


def _memory(sources: MetricSources) -> Samples:
    memory, overload = sources.memory, sources.overload
    return [
        (("held",), memory.used),
        (("unsent",), memory.unsent),
        (("stores",), overload.stored_memory),
        (("retained",), overload.retained_memory),
    ]


_CLIENT = (
    "name of the issued key. It is empty without one, as for Gemini keys of the clients' own, and `other` beyond the"
    f" first {MAX_CLIENTS} keys"
)
FAMILIES: tuple[Family, ...] = (
    Family("gateway_exchanges", "Requests answered, by the model that answered or that failed. It is empty where Gemini"
           " was not asked.", ("model", "status"), _by_keys("exchanges")),
    Family("gateway_client_requests", f"Requests answered, by {_CLIENT}.", ("client", "status"),
           _by_client("client_requests")),
    Family("gateway_client_tokens", f"Tokens, as billed, by {_CLIENT} and direction (`input`, `output`).",
           ("client", "direction"), _by_client("client_tokens")),
    Family("gateway_cost_dollars", f"Cost of the calls of Gemini in US dollars, as the ledger counts it, by {_CLIENT}"
           " and requested model. Without a ledger nothing is counted.", ("client", "model"),
           _by_client("micros", 1_000_000)),
    Family("gateway_budget_used_ratio", "Share of a budget that is spent in its current period, by name of the issued"
           f" key (`other`: the largest share beyond the first {MAX_CLIENTS} names), unit (`dollars`, `tokens`) and"
           " period (`day`, `month`, `total`). It is read from the ledger: all machines show the same.",
           ("client", "unit", "period"), _budgets, "gauge"),
    Family("gateway_budget_refused", f"Calls of Gemini that a budget did not allow, by {_CLIENT}, unit and period of"
           " the budget.", ("client", "unit", "period"), _by_client("budget_refusals")),
    Family("gateway_attempts", "Calls of Gemini by requested model, including retries.", ("model",),
           _by_key("calls")),
    Family("gateway_duration_seconds", "Duration of requests that called Gemini.", ("model",),
           _by_model("duration"), "histogram"),
    Family("gateway_first_byte_seconds", "Time to the first byte of streamed answers.", ("model",),
           _by_model("first_byte"), "histogram"),
    Family("gateway_chunk_gap_seconds",
           "Longest time between two reads of each stream. A client that reads slowly makes it longer.",
           ("model",), _by_model("chunk_gap"), "histogram"),
    Family("gateway_prompt_tokens", "Input tokens, as billed.", ("model",), _by_model("prompt_tokens")),
    Family("gateway_completion_tokens", "Output tokens, as billed, including thoughts.", ("model",),
           _by_model("completion_tokens")),
    Family("gateway_errors", "Failed requests by Gemini's HTTP status (0: none) and the gateway's error code.",
           ("status", "code"), _by_keys("errors")),
    Family("gateway_upstream_errors",
           "Failed calls of Gemini, including those that a retry recovered: `upstream_unreachable`,"
           " `upstream_timeout`, `upstream_incomplete`, `quota_per_minute`, `quota_per_day`, or another code.",
           ("model", "cause"), _by_keys("failures")),
    Family("gateway_notes", "Request fields that were not honoured, or honoured after a repair."
           " Names beyond the first 300 are counted as `other`.", ("field",), _by_key("notes")),
    Family("gateway_successors", "Answers that say that they are from another model than was asked, aliases"
           " such as `gemini-flash-latest` included.", ("model", "answered"), _by_keys("successors")),
    Family("gateway_model_table_age_seconds", "Time since the shipped table of models and prices was compared"
           " with Google's pages.", (), lambda _: [((), 86_400.0 * age(time()))], "gauge"),
    Family("gateway_fallbacks", "Models replaced by the next of `models.fallbacks`, by error code or"
           " `cooling_down`.", ("code",),
           _by_key("fallbacks")),
    Family("gateway_hedges", "Hedged requests by outcome: the second project answered first (`won`) or not (`lost`).",
           ("outcome",), _by_key("hedges")),
    Family("gateway_cache", "Requests that asked for a cached answer, by result: `hit`, `miss` or `off`.",
           ("outcome",), _by_key("cache")),
    Family("gateway_adjusted", "Request fields that Gemini refused and that were changed for another attempt.",
           ("field",), _by_key("adjusted")),
    Family("gateway_unknown_finish_reasons",
           "Answers by a finish reason of Google's that this version does not know; clients get `stop`.",
           ("reason",), _by_key("unknown_reasons")),
    Family("gateway_signature_dummies", "Requests sent with Google's placeholder for an unknown thought signature.",
           (), lambda s: [((), s.statistics.dummies)]),
    Family("gateway_live_sessions", "Sessions of the Live API in progress.", (),
           lambda s: [((), s.statistics.live_sessions)], "gauge"),
    Family("gateway_live_closed", "Ended sessions of the Live API, by the code of the close frame; `other` for the"
           " clients' own codes.", ("code",), _by_key("live_closed")),
    Family("gateway_hook_failures", "Failures of plugins' hooks, by plugin, hook, and whether it raised (`raises`) or"
           " took longer than its deadline (`hangs`).", ("plugin", "hook", "reason"), _by_keys("hook_failures")),
    Family("gateway_hook_duration_seconds", "Time of each call of a plugin's hook, by plugin and hook, also of one that"
           " failed. `on_event` is called for each event of an answer. Without a hook there is none.",
           ("plugin", "hook"), _by_keys("hook_durations"), "histogram"),
    Family("gateway_plugin_events", "Events that plugins count, such as rules of `guard` that were broken.",
           ("plugin", "event"), _by_keys("plugin_events")),
    Family("gateway_background_task_failures", "Failures of plugins' background tasks, each followed by a restart.",
           ("task",), _by_keys("task_failures")),
    Family("gateway_background_task_up", "1 for a plugin's background task that runs, 0 for one that has failed and"
           " waits for its restart.", ("task",), _by_keys("tasks_up"), "gauge"),
    Family("gateway_certificate_expiry_timestamp_seconds", "Unix time at which the certificate of"
           " `plugins.alert.certificate` ends; 0 if it is not accepted. Absent without that setting.", ("host",),
           _by_keys("certificates"), "gauge"),
    Family("gateway_in_progress", "Requests in progress.", (), lambda s: [((), s.admission.in_progress)], "gauge"),
    Family("gateway_in_progress_limit", "Maximum of requests in progress: `limits.streams`.", (),
           lambda s: [((), s.limit)], "gauge"),
    Family("gateway_memory_bytes", "Memory as accounted for: `held` by requests in progress and background work,"
           " `unsent` in the buffers of connections, in the `stores`, and `retained`: what the process had grown by"
           " besides, when requests last held little.", ("state",), _memory, "gauge"),
    Family("gateway_memory_limit_bytes", "Maximum of memory that requests hold: `limits.memory`.", (),
           lambda s: [((), s.memory.limit)], "gauge"),
    Family("gateway_memory_refused", "Requests answered 503 because `limits.memory` was in use.", (),
           lambda s: [((), s.memory.refused)]),
    Family("gateway_queued", "Requests that wait for a place in progress.", (),
           lambda s: [((), s.admission.queued)], "gauge"),
    Family("gateway_refused", "Requests refused because the gateway is overloaded: no place is free (`places`), none"
           " came free in time (`patience`), the event loop has too much to do (`loop`), memory is short (`memory`).",
           ("reason",), _refused),
    Family("gateway_memory_share", "Memory that the process has grown by for its requests as a share of"
           " `limits.memory`, or the whole process as a share of the limit of its control group (`MemoryHigh`) or of"
           " the machine, whichever is more: from 0.85 on connections are closed after each answer, from 0.92 on"
           " requests are refused.", (),
           lambda s: [((), s.overload.memory_share)], "gauge"),
    Family("gateway_pool_cooling_down", "1 for a key, project, or project and model that is cooling down or refused.",
           ("project", "key", "model", "reason"), _pool, "gauge"),
    Family("gateway_pool_refused",
           "Calls for which Google refused a key of the pool, or its project (`key` is empty), by reason.",
           ("project", "key", "reason"), _by_keys("refused_keys")),
    Family("gateway_pool_projects", "1 for each project, with its API: `gemini` or `vertex`.", ("project", "kind"),
           _kinds, "gauge"),
    Family("gateway_pool_in_flight", "Calls in progress by project and model.", ("project", "model"),
           _in_flight, "gauge"),
    Family("gateway_state_errors", "Failed reads and writes of each store of state.", ("store",),
           lambda sources: (((store,), n) for store, n in sources.state_errors().items())),
    Family("gateway_ledger_errors", "Failed transactions of the ledger.", (), _attribute("ledger", "errors")),
    Family("gateway_ledger_dropped", "Rows that the ledger lost.", (), _attribute("ledger", "dropped")),
    Family("gateway_ledger_waiting", "Rows that are not yet written to the ledger.", (),
           _attribute("ledger", "waiting"), "gauge"),
    Family("gateway_shared_errors", "Failed calls of Redis.", (), _attribute("shared", "errors")),
    Family("gateway_shared_degraded", "1 while Redis is bypassed because it fails.", (),
           _attribute("shared", "degraded"), "gauge"),
    Family("gateway_log_dropped", "Log lines dropped because standard error was not read.", (),
           lambda s: [((), s.lines_dropped())]),
    Family("gateway_loop_lag_seconds", "Maximum delay of the event loop in the last minute.", (),
           lambda s: [((), s.loop_lag.largest)], "gauge"),
    Family("gateway_build_info", "Always 1; the label is the version.", ("version",),
           lambda _: [((__version__,), 1.0)], "gauge"),
    Family("gateway_instance_info", "Always 1. `name` is the instance of the systemd unit that answered this scrape,"
           " such as `blue`, or GATEWAY_INSTANCE. Instances that share a socket are scraped by turns.",
           ("name", "pid"), lambda _: [((process.instance(), os.getpid()), 1.0)], "gauge"),
)  # fmt: skip


def _process(name: str, meaning: str, number: Callable[[], float], kind: Kind = "gauge") -> Family:
    return Family(f"process_{name}", meaning, (), lambda _: readable(number), kind)


PROCESS_FAMILIES = (
    _process("cpu_seconds", "Processor time of the process.", process.cpu_seconds, "counter"),
    _process("resident_memory_bytes", "Resident memory.", process.resident_bytes),
    _process("virtual_memory_bytes", "Size of the address space.", process.virtual_bytes),
    _process("open_fds", "Open file descriptors.", process.open_files),
    _process("max_fds", "File descriptors that may be open.", process.most_files),
    _process("start_time_seconds", "Start of the process, in Unix seconds.", process.started),
)
"""Metrics of the process, under the names that Prometheus's clients have in common
(https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics)."""
PROCESS = tuple(family.series[0] for family in PROCESS_FAMILIES)
"""Their names."""


def markdown() -> str:
    """Return docs/refer/metrics.md."""
    rows = (
        f"| `{f.series[0]}` | {f.kind} | {', '.join(f.labels)} | {f.help} |"
        for f in (*FAMILIES, *PROCESS_FAMILIES)
    )
    head = [
        "# Metrics",
        "",
        "Generated by `make docs` from `gateway/observability/prometheus.py`; do not edit.",
        "",
    ]
    return "\n".join([*head, "| name | type | labels | meaning |", "|---|---|---|---|", *rows, ""])


class _Collector:
    """Collector of the gateway's metrics, as prometheus-client's registry expects it."""

    def __init__(self, sources: MetricSources) -> None:
        self._sources = sources

    def collect(self) -> "Iterable[Metric]":
        """Return all families with the samples of this moment."""
        return [_metric(family, self._sources) for family in (*FAMILIES, *PROCESS_FAMILIES)]


def _metric(family: Family, sources: MetricSources) -> "Metric":
    from prometheus_client.core import Metric

    metric = Metric(family.name, family.help, family.kind)
    for key, value in sorted(family.samples(sources), key=lambda sample: str(sample[0])):
        labels = dict(zip(family.labels, map(str, key), strict=True))
        if isinstance(value, Histogram):
            _add_histogram(metric, labels, value)
        else:
            metric.add_sample(family.series[0], labels, value)
    return metric


def _add_histogram(metric: "Metric", labels: dict[str, str], histogram: Histogram) -> None:
    counts = histogram.cumulative()
    for bound, count in zip((*histogram.bounds, "+Inf"), counts, strict=True):
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": str(bound)}, count)
    metric.add_sample(f"{metric.name}_count", labels, counts[-1])
    metric.add_sample(f"{metric.name}_sum", labels, histogram.sum)


def exposition(sources: MetricSources) -> web.Response:
    """Return all metrics in Prometheus's text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector(sources))
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    return web.Response(body=generate_latest(registry), headers=headers)
