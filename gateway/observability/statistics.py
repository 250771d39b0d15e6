"""What was counted since the start: sums over the records of exchanges, for whoever shows them (`metrics`)."""

from bisect import bisect_left
from collections import Counter
from itertools import accumulate

from msgspec import Struct, field

from gateway.observability.request_log import RequestLog

_DURATIONS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)
_FIRST_BYTES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
_GAPS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds in seconds, each within its bucket."""
_MOST_NOTES = 300
"""Names of notes that are told apart: a client's unknown field is one."""
_MOST_MODELS = 300
"""The same for models that were asked."""
_OTHER = "other"
_UNSIGNED = "thought_signature"
"""How translation notes a dummy in place of a thought signature."""


class Histogram:
    """Counts numbers by the first of some bounds that is not below them."""

    __slots__ = ("_counts", "bounds", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.sum = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """One more number."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[int]:
        """How many numbers are within each bound; the last one counts all."""
        return list(accumulate(self._counts))


class ModelStatistics(Struct):
    """Sums of one model's exchanges; times are in seconds, tokens are as billed."""

    duration: Histogram = field(default_factory=lambda: Histogram(_DURATIONS))
    first_byte: Histogram = field(default_factory=lambda: Histogram(_FIRST_BYTES))
    """Of streams that had one."""
    chunk_gap: Histogram = field(default_factory=lambda: Histogram(_GAPS))
    """The longest of each stream."""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, record: RequestLog) -> None:
        """One exchange that asked Gemini is over."""
        self.duration.observe(record.duration_ms / 1000)
        if record.first_byte_ms is not None:
            self.first_byte.observe(record.first_byte_ms / 1000)
        if record.chunk_gap_ms is not None:
            self.chunk_gap.observe(record.chunk_gap_ms / 1000)
        self.prompt_tokens += record.prompt_tokens or 0
        self.completion_tokens += record.completion_tokens or 0


class Statistics:
    """Labels never hold what a client may make up without end."""

    def __init__(self) -> None:
        self.exchanges: Counter[tuple[str, int]] = Counter()
        """By model and status."""
        self.models: dict[str, ModelStatistics] = {}
        self.errors: Counter[tuple[int, str]] = Counter()
        """Failed exchanges by Gemini's status (0: it was not asked, or said nothing) and our code."""
        self.calls: Counter[str] = Counter()
        """Calls of Gemini by the model that was asked."""
        self.failures: Counter[tuple[str, str]] = Counter()
        """Those that failed, by model and cause; also those that another attempt made good."""
        self.notes: Counter[str] = Counter()
        """Fields that were not honoured, or repaired."""
        self.adjusted: Counter[str] = Counter()
        """Fields that a model refused and that were changed for another attempt."""
        self.fallbacks: Counter[str] = Counter()
        """Models given up for the next of their chain, by the code of the error."""
        self.hedges: Counter[str] = Counter()
        """Second projects that were asked beside a silent first: `won` or `lost`."""
        self.cache: Counter[str] = Counter()
        """Requests that asked for a kept answer: `hit`, `miss`, or `off` where there can be none."""
        self.dummies = 0
        """Histories that were sent with a dummy in place of a thought signature."""

    def called(self, model: str) -> None:
        """A model is asked, whatever comes of it."""
        self.calls[self._known(model)] += 1

    def failed(self, model: str, cause: str) -> None:
        """A call came to nothing."""
        self.failures[self._known(model), cause] += 1

    def _known(self, model: str) -> str:
        """The name as a label: clients may ask for anything that begins like a model."""
        return model if model in self.calls or len(self.calls) < _MOST_MODELS else _OTHER

    def add(self, record: RequestLog) -> None:
        """One exchange is over."""
        # a failed one's model name is the client's own, also where the failure was told inside a stream
        model = record.model or "" if record.status == 200 and record.error is None else ""
        self.exchanges[model, record.status] += 1
        if record.error is not None:
            self.errors[record.upstream_status or 0, record.error] += 1
        if record.cached is not None:
            self.cache[record.cached] += 1
        if not record.attempts:
            return
        totals = self.models.get(model)
        if totals is None:
            totals = self.models[model] = ModelStatistics()
        totals.add(record)
        if record.fallbacks:
            self.fallbacks.update(step.rpartition(" ")[2] for step in record.fallbacks)
        if record.hedge is not None:
            self.hedges[record.hedge] += 1
        if record.notes:
            self._note(record.notes)
        if record.adjusted:
            self.adjusted.update(record.adjusted)
            self.dummies += _UNSIGNED in record.adjusted

    def _note(self, names: list[str]) -> None:
        for name in names:
            known = name in self.notes or len(self.notes) < _MOST_NOTES
            self.notes[name if known else _OTHER] += 1
        self.dummies += _UNSIGNED in names
