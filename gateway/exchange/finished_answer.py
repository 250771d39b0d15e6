"""A finished answer, as plugins see it: text, finish reason, tokens and cost."""

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from gateway.exchange.report import ExchangeReport
from gateway.gemini.events import Event, Finished, Reason, TextDelta, ThoughtDelta, ToolCall, TurnEnded
from gateway.gemini.usage import TokenCounts


class FinishedChoice(Struct):
    """One choice of an answer, as the client got it."""

    text: str = ""
    thoughts: str = ""
    """Thought summaries."""
    calls: list[ToolCall] = field(default_factory=list)
    finish_reason: Reason | None = None
    """None for a choice that has not ended."""
    refusal: str | None = None
    """The reason that the client is told of a blocked answer."""


class AnswerRecord:
    """Collects the events of one call's answer: of one choice, or of several candidates."""

    def __init__(self) -> None:
        self._choices: dict[int, tuple[FinishedChoice, list[str], list[str]]] = {}
        self.counts: TokenCounts | None = None

    def add(self, events: Iterable[Event]) -> None:
        """Add events that the client gets."""
        for event in events:
            if isinstance(event, TurnEnded):
                self.counts = event.counts
                continue
            index = getattr(event, "index", None)
            if index is None:
                continue
            choice, texts, thoughts = self._choices.setdefault(index, (FinishedChoice(), [], []))
            if isinstance(event, TextDelta):
                texts.append(event.text)
            elif isinstance(event, ThoughtDelta):
                thoughts.append(event.text)
            elif isinstance(event, ToolCall):
                choice.calls.append(event)
            elif isinstance(event, Finished):
                choice.finish_reason, choice.refusal = event.reason, event.refusal

    def choices(self) -> dict[int, FinishedChoice]:
        """Return the choices by index."""
        for choice, texts, thoughts in self._choices.values():
            choice.text, choice.thoughts = "".join(texts), "".join(thoughts)
        return {index: choice for index, (choice, _, _) in self._choices.items()}


class FinishedAnswer(Struct, frozen=True):
    """An answer that has ended: completely, with an error, or because the client has left."""

    model: str
    """The model that answered, or that was asked; "" if the request got no further."""
    requested_model: str
    """The client's own name of the model."""
    stream: bool
    status: int
    """HTTP status; 499 if the client disconnected before the end."""
    error: str | None
    """Code of the error that the client was sent, also inside a stream."""
    choices: list[FinishedChoice]
    """In the order of their indexes. Empty for an answer without a conversation, such as embeddings."""
    usage: TokenCounts
    """Tokens of the answer; those of attempts that failed are not counted."""
    dollars: float
    """Cost of all calls of the request by the price table, in US dollars."""
    seconds: float
    """Time from the request's arrival to its end."""

    @property
    def text(self) -> str:
        """The text of all choices, without thoughts."""
        return "".join(choice.text for choice in self.choices)

    @property
    def finish_reason(self) -> Reason | None:
        """The finish reason of the first choice."""
        return self.choices[0].finish_reason if self.choices else None

    @classmethod
    def of(
        cls, report: ExchangeReport, records: Mapping[int, AnswerRecord], status: int, seconds: float
    ) -> "FinishedAnswer":
        """Return what a request's report and records say."""
        choices: dict[int, FinishedChoice] = {}
        for record in records.values():
            choices |= record.choices()
        counts = [record.counts for record in records.values() if record.counts is not None]
        billed = TokenCounts(prompt=report.prompt_tokens or 0, completion=report.completion_tokens or 0)
        return cls(
            report.model or "",
            report.requested_model or "",
            report.stream,
            status,
            report.error,
            [choices[index] for index in sorted(choices)],
            _sum(counts) if counts else billed,
            report.micros / 1_000_000,
            round(seconds, 3),
        )


def _sum(counts: list[TokenCounts]) -> TokenCounts:
    """Return the sum of the counts of several calls."""
    return TokenCounts(*(sum(values) for values in zip(*map(_values, counts), strict=True)))


def _values(counts: TokenCounts) -> tuple[int, ...]:
    return tuple(getattr(counts, name) for name in TokenCounts.__struct_fields__)
