"""What was counted since the start: sums over the records of exchanges, for whoever shows them (`metrics`)."""

from collections import Counter

from gateway.record import Record


class Totals:
    """Counters by name; labels are a tuple, and never hold what a client may make up without end."""

    def __init__(self) -> None:
        self.exchanges: Counter[tuple[str, str]] = Counter()
        """By model and status."""
        self.tokens: Counter[tuple[str, str]] = Counter()
        """By model and kind (prompt, completion), as billed."""
        self.seconds: Counter[tuple[str]] = Counter()
        """By model: the sum of durations, in milliseconds."""
        self.attempts: Counter[tuple[str]] = Counter()
        """Upstream calls, by model."""
        self.notes: Counter[tuple[str]] = Counter()
        """Fields that were not honoured, or repaired."""
        self.adjusted: Counter[tuple[str]] = Counter()
        """Fields that a model refused and that were changed for another attempt."""

    def add(self, record: Record) -> None:
        """One exchange is over."""
        model = record.model or "" if record.status == 200 else ""  # a failed one's name is the client's own
        self.exchanges[model, str(record.status)] += 1
        if not record.attempts:
            return
        self.attempts[(model,)] += record.attempts
        self.seconds[(model,)] += round(record.duration_ms)
        self.tokens[model, "prompt"] += record.prompt_tokens or 0
        self.tokens[model, "completion"] += record.completion_tokens or 0
        for name in record.notes or ():
            self.notes[(name,)] += 1
        for name in record.adjusted:
            self.adjusted[(name,)] += 1
