"""The time of a request by phases, from its arrival to its end."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

Name = Literal["before", "failed", "pauses", "first", "stream", "answer", "after"]
NAMES: tuple[Name, ...] = ("before", "failed", "pauses", "first", "stream", "answer", "after")
"""In their order: the gateway before the first call; calls that did not answer; pauses between calls; the call that
answered until its first byte and from there on, or, of an answer that is no stream, as a whole; the gateway afterwards.
"""


class Span(NamedTuple):
    """One call of Gemini. Times are milliseconds after the request's arrival."""

    start: float
    end: float
    answered: bool


class Phase(NamedTuple):
    """A part of a request's time."""

    name: Name
    ms: float


def phases(spans: Iterable[Span], total: float, first_byte: float | None) -> list[Phase]:
    """Return the phases that take time; their sum is `total`, the milliseconds of the request. None without calls.

    `first_byte` is when the first content of a stream was sent; None of an answer that is no stream. Calls may overlap:
    what the answering one covers counts as its own, the rest as that of the others.
    """
    calls = sorted(
        Span(min(max(0.0, s.start), total), min(max(0.0, s.start, s.end), total), s.answered) for s in spans
    )
    if not calls:
        return []
    answer = next((call for call in reversed(calls) if call.answered), None)
    begin, end = calls[0].start, max(call.end for call in calls)
    times = {"before": begin, "after": total - end}
    covered = _length(calls)
    own = answer.end - answer.start if answer is not None else 0.0
    times |= {"failed": covered - own, "pauses": end - begin - covered}
    if answer is not None and first_byte:
        until = min(max(first_byte, answer.start), answer.end)
        times |= {"first": until - answer.start, "stream": answer.end - until}
    elif answer is not None:
        times["answer"] = own
    return [Phase(name, round(times[name], 1)) for name in NAMES if times.get(name, 0.0) >= 0.05]


def _length(calls: Sequence[Span]) -> float:
    """Return how long at least one of the calls, sorted by their begin, was in progress."""
    length, reached = 0.0, 0.0
    for call in calls:
        length += max(0.0, call.end - max(call.start, reached))
        reached = max(reached, call.end)
    return length
