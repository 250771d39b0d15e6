"""Sums over all requests since the start, from which Prometheus's metrics are made."""

from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from typing import TypeVar

from msgspec import Struct, field

from gateway.conversation.notes import kind
from gateway.errors import scrub
from gateway.observability.request_log import RequestLog

K = TypeVar("K")
_DURATIONS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)
FIRST_BYTES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
_GAPS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)
_HOOKS = (0.0001, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
"""Upper bounds of the buckets in seconds; a bound belongs to its bucket."""
_MAX_NOTES = 300
"""Different notes that are counted by name. A client's unknown field is a note, so that there is no other limit."""
_MAX_MODELS = 300
"""Different models whose calls, and whose answers, are counted by name."""
MAX_CLIENTS = 100
"""Different issued keys whose requests are counted apart."""
_MAX_REASONS = 50
"""Different unknown finish reasons that are counted by name."""
_OK = 200
_FIRST_ERROR = 400
"""Lowest status of an error."""
OTHER = "other"
"""Label of what is beyond one of these numbers."""
_DUMMY = ".thought_signature"
"""End of the note for a placeholder that was sent in place of a thought signature."""


def budget_unit(unit: str) -> str:
    """Return the unit of a budget as operators call it: `dollars` or `tokens`."""
    return "dollars" if unit == "money" else unit


class Histogram:
    """Counts numbers by bucket."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.sum = 0.0
        self.counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """Count a number in the first bucket whose bound is not below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[int]:
        """Return how many numbers are within each bound; the last entry counts all."""
        return list(accumulate(self.counts))


class ModelStatistics(Struct):
    """Sums of one model's requests. Times are in seconds, tokens are as billed."""

    duration: Histogram = field(default_factory=lambda: Histogram(_DURATIONS))
    first_byte: Histogram = field(default_factory=lambda: Histogram(FIRST_BYTES))
    """Time to the first content of a stream."""
    chunk_gap: Histogram = field(default_factory=lambda: Histogram(_GAPS))
    """The longest time between two reads of each stream."""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, record: RequestLog) -> None:
        """Add a request that called Gemini."""
        self.duration.observe(record.duration_ms / 1000)
        if record.first_byte_ms is not None:
            self.first_byte.observe(record.first_byte_ms / 1000)
        if record.chunk_gap_ms is not None:
            self.chunk_gap.observe(record.chunk_gap_ms / 1000)
        self.prompt_tokens += record.prompt_tokens or 0
        self.completion_tokens += record.completion_tokens or 0


class _Usual:
    """Requests of one model and client that were answered at once, and are not added to the sums yet."""

    __slots__ = ("completion_tokens", "prompt_tokens", "requests", "sums")

    def __init__(self, sums: ModelStatistics) -> None:
        self.sums = sums
        self.requests = self.prompt_tokens = self.completion_tokens = 0

    def add(self, record: RequestLog) -> None:
        """Add a request."""
        self.requests += 1
        self.prompt_tokens += record.prompt_tokens or 0
        self.completion_tokens += record.completion_tokens or 0
        sums = self.sums
        sums.duration.observe(record.duration_ms / 1000)
        if record.first_byte_ms is not None:
            sums.first_byte.observe(record.first_byte_ms / 1000)
        if record.chunk_gap_ms is not None:
            sums.chunk_gap.observe(record.chunk_gap_ms / 1000)


class Statistics:
    """Counters of the process. The number of labels is bounded, whatever clients send."""

    dummies = 0
    """Requests whose history was sent with a placeholder in place of a thought signature."""
    saved = 0
    """Requests that were answered after a failed call."""
    broken = 0
    """Requests with an error inside a stream whose status says 200."""

    live_sessions = 0
    """Sessions of the Live API in progress."""

    def __init__(self) -> None:
        self._usual: dict[tuple[str | None, str | None], _Usual] = {}
        """Nearly all requests, by model and id of the issued key. Reading a sum adds them to it."""
        # What each request counts is in plain dicts: to set a value in a Counter takes ten times as long.
        self._exchanges: dict[tuple[str, int], int] = {}
        self.answering: set[str] = set()
        """Models that answered, whose names are labels."""
        self._client_requests: dict[tuple[str, int], int] = {}
        self._client_tokens: dict[tuple[str, str], int] = {}
        self.micros: dict[tuple[str, str], int] = {}
        """Cost as in the ledger, in millionths of a US dollar, by id of the issued key and model."""
        self._models: dict[str, ModelStatistics] = {}
        self.errors: Counter[tuple[int, str]] = Counter()
        """Failed requests by Gemini's status (0 when there was none) and the gateway's code."""
        self.calls: dict[str, int] = {}
        """Calls of Gemini by the model that was asked."""
        self.successors: Counter[tuple[str, str]] = Counter()
        """Answers by the model that was asked and the other one that answered."""
        self.failures: Counter[tuple[str, str]] = Counter()
        """Failed calls by model and cause, also those that a later attempt repaired."""
        self.notes: Counter[str] = Counter()  # requests by field that was not honoured
        self.adjusted: Counter[str] = Counter()
        """Requests by field that Gemini refused and that was changed for another attempt."""
        self.fallbacks: Counter[str] = Counter()
        """Models that failed and were replaced, by the code of the error."""
        self.refused_keys: Counter[tuple[str, str, str]] = Counter()
        """Refusals of keys of the pool by project, id of the key and reason."""
        self.hedges: Counter[str] = Counter()
        """Second attempts on another project, by result: `won` or `lost`."""
        self.cache: Counter[str] = Counter()  # requests that asked for it, by result: `hit`, `miss` or `off`
        self.unknown_reasons: Counter[str] = Counter()
        """Answers by finish reason of Google's that this version does not know."""
        self.hook_failures: Counter[tuple[str, str, str]] = Counter()
        """Failures of plugins' hooks by plugin, hook and `raises` or `hangs`."""
        self.hook_durations: dict[tuple[str, str], Histogram] = {}  # seconds of each call, by plugin and hook
        self.plugin_events: Counter[tuple[str, str]] = Counter()
        """Events that plugins count, by plugin and name."""
        self.task_failures: Counter[tuple[str]] = Counter()  # of plugins' background tasks, by name
        self.tasks_up: dict[tuple[str], int] = {}
        """Plugins' background tasks: 1 for one that runs, 0 for one that has failed and waits for its restart."""
        self.budget_refusals: Counter[tuple[str, str, str]] = Counter()
        """Calls that a budget did not allow, by id of the issued key, unit and period."""
        self.refused_budgets: dict[tuple[str, str, str, int], float] = {}
        """Unix seconds of each budget's last refusal, by id of the issued key, unit, period and limit."""
        self.certificates: dict[tuple[str], float] = {}
        """Unix seconds of the end of a server's certificate, by host; 0 for one that cannot be used."""
        self.live_closed: Counter[str] = Counter()
        """Ended sessions of the Live API, by the code of the close frame."""
        self._clients = {OTHER, ""}

    @property
    def exchanges(self) -> dict[tuple[str, int], int]:
        """Requests by model and status. A failed request has the model that Gemini was asked for."""
        self._add_usual()
        return self._exchanges

    @property
    def client_requests(self) -> dict[tuple[str, int], int]:
        """Requests by id of the issued key, "" without one, and status."""
        self._add_usual()
        return self._client_requests

    @property
    def client_tokens(self) -> dict[tuple[str, str], int]:
        """Tokens, as billed, by id of the issued key and direction: `input` or `output`."""
        self._add_usual()
        return self._client_tokens

    @property
    def models(self) -> dict[str, ModelStatistics]:
        """Sums of each model."""
        self._add_usual()
        return self._models

    def _add_usual(self) -> None:
        """Add the usual requests since the last time to the sums."""
        for (model, key), usual in self._usual.items():
            if usual.requests:
                labels = key or "", _OK
                self._exchanges[model or "", _OK] += usual.requests
                self._client_requests[labels] += usual.requests
                self._client_tokens[labels[0], "input"] += usual.prompt_tokens
                self._client_tokens[labels[0], "output"] += usual.completion_tokens
                usual.sums.prompt_tokens += usual.prompt_tokens
                usual.sums.completion_tokens += usual.completion_tokens
                usual.requests = usual.prompt_tokens = usual.completion_tokens = 0

    def hook_took(self, plugin: str, hook: str, seconds: float) -> None:
        """Count a call of a hook. Plugins are those of the YAML, so that there is no other limit."""
        durations = self.hook_durations.get((plugin, hook))
        if durations is None:
            durations = self.hook_durations[plugin, hook] = Histogram(_HOOKS)
        durations.observe(seconds)

    def called(self, model: str) -> None:
        """Count a call of a model."""
        calls = self.calls
        if model not in calls:
            model = self._known(model)
        calls[model] = calls.get(model, 0) + 1

    def failed(self, model: str, cause: str) -> None:
        """Count a failed call."""
        self.failures[self._known(model), cause] += 1

    def charged(self, key_id: str, model: str, micros: int) -> None:
        """Count the cost of a call in millionths of a US dollar."""
        if not micros:
            return
        labels = key_id, model
        if labels not in self.micros:
            labels = self._client(key_id), self._known(model)
        self.micros[labels] = self.micros.get(labels, 0) + micros

    def refused(self, key_id: str, budget: tuple[str, str, int], now: float) -> None:
        """Count a call that a budget of an issued key, given by unit, period and limit, does not allow."""
        unit, period, _ = budget
        self.budget_refusals[self._client(key_id), budget_unit(unit), period] += 1
        self.refused_budgets[key_id, *budget] = now

    def answered(self, model: str, answering: str) -> bool:
        """Count an answer of another model than the one that was asked. Return whether the pair is new."""
        pair = model, answering
        is_new = pair not in self.successors
        if is_new and len(self.successors) >= _MAX_MODELS:
            pair, is_new = (OTHER, OTHER), False
        self.successors[pair] += 1
        return is_new

    def _known(self, model: str) -> str:
        """Return the model's name as a label. Clients may ask for any name, so that their number is bounded."""
        if model in self.calls:
            return model
        return model if len(self.calls) < _MAX_MODELS and scrub(model) == model else OTHER

    def _client(self, key_id: str) -> str:
        """Return the id of an issued key as a label."""
        if key_id not in self._clients:
            if len(self._clients) >= MAX_CLIENTS + 2:
                return OTHER
            self._clients.add(key_id)
        return key_id

    def _label(self, record: RequestLog) -> str:
        """Return the model of a request as a label.

        The model of a failed request may be any text of the client's, also when the failure was inside a stream: it
        is a label if Gemini was asked for it.
        """
        model = record.model or ""
        if record.status != _OK or record.error is not None:
            return model if model in self.calls else ""
        if model in self.answering or not model:
            return model
        if len(self.answering) >= _MAX_MODELS:
            return OTHER  # of tuned models there may be any number
        self.answering.add(model)
        return model

    def add(self, record: RequestLog) -> None:
        """Add a request that has ended."""
        is_usual = (
            record.status == _OK
            and record.prompt_tokens is not None
            and record.attempts > 0
            and not (
                record.error
                or record.failures
                or record.cached
                or record.unknown_reason
                or record.fallbacks
                or record.hedge
                or record.notes
                or record.adjusted
            )
        )
        if is_usual:
            usual = self._usual.get((record.model, record.key))
            if usual is not None:
                usual.add(record)
                return
        model, client = self._label(record), self._client(record.key) if record.key else ""
        self._count_one(self._exchanges, (model, record.status))
        self._count_one(self._client_requests, (client, record.status))
        self._add_result(record)
        if not record.attempts:
            return
        sums = self._models.get(model)
        if sums is None:
            sums = self._models[model] = ModelStatistics()
        sums.add(record)
        if record.prompt_tokens is not None:
            self._count_one(self._client_tokens, (client, "input"), record.prompt_tokens)
            self._count_one(self._client_tokens, (client, "output"), record.completion_tokens or 0)
        if is_usual and (model, client) == (record.model, record.key or ""):
            self._usual[record.model, record.key] = _Usual(sums)
        self._add_repairs(record)

    @staticmethod
    def _count_one(counts: dict[K, int], labels: K, number: int = 1) -> None:
        counts[labels] = counts.get(labels, 0) + number

    def _add_result(self, record: RequestLog) -> None:
        """Add what became of a request."""
        if record.error is not None:
            self.errors[record.upstream_status or 0, record.error] += 1
            self.broken += record.status < _FIRST_ERROR
        elif record.failures and record.status < _FIRST_ERROR:
            self.saved += 1
        if record.cached is not None:
            self.cache[record.cached] += 1
        if record.unknown_reason is not None:
            reason, reasons = record.unknown_reason, self.unknown_reasons
            reasons[reason if reason in reasons or len(reasons) < _MAX_REASONS else OTHER] += 1

    def _add_repairs(self, record: RequestLog) -> None:
        """Add what was not as the client asked for it."""
        if record.fallbacks:
            self.fallbacks.update(step.rpartition(" ")[2] for step in record.fallbacks)
        if record.hedge is not None:
            self.hedges[record.hedge] += 1
        if record.notes:
            self._count([name for name in record.notes if not name.startswith("+")], self.notes)
        if record.adjusted:
            self._count(record.adjusted, self.adjusted)

    def _count(self, paths: list[str], counter: Counter[str]) -> None:
        """Count fields without their indexes. Clients choose the names, so that their number is bounded."""
        for path in paths:
            name = kind(path)
            counter[name if name in counter or len(counter) < _MAX_NOTES else OTHER] += 1
        self.dummies += any(path.endswith(_DUMMY) for path in paths)
