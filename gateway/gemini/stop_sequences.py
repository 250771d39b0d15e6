"""Stop sequences that Gemini is not sent, because it takes only five: the answer's text is cut at them here.

The text ends before the sequence that is complete first, however the text is split into events. Text that may be the
beginning of a sequence is held back until the next text shows what it is.
"""

from collections.abc import Iterable, Sequence

from msgspec import structs

from gateway.gemini.events import Citations, Event, Finished, TextDelta, TurnEnded, TurnStarted
from gateway.gemini.wire import LogprobsResult

_LONGEST_LOOK = 256
"""Characters of a sequence whose beginnings are looked for; of a longer one, its length is held back."""


class _Text:
    """The text of one candidate: how much was passed on, what is held back, and the sequence that ended it."""

    __slots__ = ("held", "length", "stop")

    def __init__(self) -> None:
        self.held = ""
        self.length = 0
        self.stop: str | None = None


class StopCutter:
    """Cuts the events of one answer at stop sequences. None of them is empty."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._texts: dict[int, _Text] = {}

    @property
    def is_over(self) -> bool:
        """Whether every text has ended at a sequence."""
        return bool(self._texts) and all(text.stop is not None for text in self._texts.values())

    def cut(self, events: Iterable[Event]) -> list[Event]:
        """Return the next events of the answer."""
        out: list[Event] = []
        for event in events:
            if isinstance(event, TurnStarted | TurnEnded):
                out.append(event)
                continue
            text = self._texts.get(event.index)
            if text is None:
                text = self._texts[event.index] = _Text()
            if text.stop is not None:
                _ended(out, event, text)
            elif isinstance(event, TextDelta):
                self._add(out, event, text)
            else:
                if text.held:
                    text.length += len(text.held)
                    out.append(TextDelta(event.index, text.held))
                    text.held = ""
                out.append(event)
        return out

    def _add(self, out: list[Event], event: TextDelta, text: _Text) -> None:
        """Pass on what is certainly before any sequence."""
        whole = text.held + event.text
        ends = [(at + len(stop), at, stop) for stop in self._stops if (at := whole.find(stop)) >= 0]
        if ends:
            _, at, text.stop = min(ends)
            kept, text.held = whole[:at], ""
        else:
            length = len(whole) - max(_possible(whole, stop) for stop in self._stops)
            kept, text.held = whole[:length], whole[length:]
        text.length += len(kept)
        if kept or event.logprobs is not None:
            logprobs = event.logprobs
            if text.stop is not None and logprobs is not None:
                logprobs = _trimmed(logprobs, len(kept) - (len(whole) - len(event.text)))
            out.append(TextDelta(event.index, kept, logprobs))


def _possible(text: str, stop: str) -> int:
    """Return the length of the longest end of a text that is the beginning of a sequence, or at least as much."""
    if len(stop) > _LONGEST_LOOK:
        return min(len(text), len(stop) - 1)
    begin = max(0, len(text) - len(stop) + 1)
    while (begin := text.find(stop[0], begin)) >= 0:
        if stop.startswith(text[begin:]):
            return len(text) - begin
        begin += 1
    return 0


def _ended(out: list[Event], event: Event, text: _Text) -> None:
    """Pass on what still concerns a text that has ended: its end, and the citations before it."""
    if isinstance(event, Finished):
        ended = {
            "reason": "stop",
            "refusal": None,
            "message": None,
            "failure": None,
            "stop_sequence": text.stop,
        }
        out.append(structs.replace(event, **ended))
    elif isinstance(event, Citations):
        inside = [citation for citation in event.citations if citation.end <= text.length]
        out.append(structs.replace(event, citations=inside))


def _trimmed(logprobs: LogprobsResult, length: int) -> LogprobsResult:
    """Return the log-probabilities of the tokens that begin within so many characters."""
    chosen, count = logprobs.chosen_candidates or [], 0
    while count < len(chosen) and length > 0:
        length -= len(chosen[count].token)
        count += 1
    return LogprobsResult(chosen[:count], (logprobs.top_candidates or [])[:count])
