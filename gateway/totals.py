"""What was counted since the start: sums over the records of exchanges, for whoever shows them (`metrics`)."""

from collections import Counter

from msgspec import Struct

from gateway.record import Record


class ModelTotals(Struct):
    """Sums of one model's exchanges; tokens are as billed."""

    attempts: int = 0
    """Upstream calls."""
    milliseconds: float = 0.0
    first_byte_milliseconds: float = 0.0
    streams: int = 0
    """Those that had a first byte."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Totals:
    """Labels never hold what a client may make up without end."""

    def __init__(self) -> None:
        self.exchanges: Counter[tuple[str, int]] = Counter()
        """By model and status."""
        self.models: dict[str, ModelTotals] = {}
        self.errors: Counter[tuple[int, str]] = Counter()
        """Failed exchanges by Gemini's status (0: it was not asked, or said nothing) and our code."""
        self.notes: Counter[str] = Counter()
        """Fields that were not honoured, or repaired."""
        self.adjusted: Counter[str] = Counter()
        """Fields that a model refused and that were changed for another attempt."""

    def add(self, record: Record) -> None:
        """One exchange is over."""
        # a failed one's model name is the client's own
        model = record.model or "" if record.status == 200 else ""
        self.exchanges[model, record.status] += 1
        if record.error is not None:
            self.errors[record.upstream_status or 0, record.error] += 1
        if not record.attempts:
            return
        totals = self.models.get(model)
        if totals is None:
            totals = self.models[model] = ModelTotals()
        totals.attempts += record.attempts
        totals.milliseconds += record.duration_ms
        if record.first_byte_ms is not None:
            totals.first_byte_milliseconds += record.first_byte_ms
            totals.streams += 1
        totals.prompt_tokens += record.prompt_tokens or 0
        totals.completion_tokens += record.completion_tokens or 0
        if record.notes:
            self.notes.update(record.notes)
        if record.adjusted:
            self.adjusted.update(record.adjusted)
