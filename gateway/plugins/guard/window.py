"""The text of an answer, of which the end is held back until it has been checked."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from gateway.plugins.guard.rules import BoundRule


class Passed(Struct, frozen=True):
    """Text that may be sent."""

    text: str
    ended_by: BoundRule | None = None
    """The rule for which the answer ends here."""


class Window:
    """Checks text that comes in pieces as if it came in one.

    One character more than the longest match has is held back: a match that has begun is not sent, and a word's end is
    known. Each rule looks for its matches by itself, so that none hides another's: at a place where several begin,
    refusals come first. Matches of rules that rewrite and overlap are removed together, for the replacement of the
    first one. `note` is told of each match.
    """

    def __init__(
        self,
        rules: Sequence[BoundRule],
        note: Callable[[BoundRule], None],
        tick: Callable[[], None] | None = None,
    ) -> None:
        """`tick` is called from time to time in a long text; it may raise."""
        self._rules = [
            *(r for r in rules if r.action == "refuse"),
            *(r for r in rules if r.action != "refuse"),
        ]
        self._note = note
        self._tick = tick
        self._width = max((rule.pattern.width for rule in rules), default=-1) + 1
        self._before = ""
        """The last character that was passed: a word's beginning depends on it."""
        self._held = ""
        self._next = [0] * len(self._rules)
        """Position of each rule's next search in what is held."""
        self._removed = 0
        """Characters of what is held that belong to matches whose replacement was passed."""
        self.is_rewritten = False

    def feed(self, piece: str) -> Passed:
        """Return the text that may be sent once a piece has arrived."""
        self._held += piece
        return self._pass(len(self._held) - self._width)

    def close(self) -> Passed:
        """Return the rest."""
        return self._pass(len(self._held))

    def _pass(self, most: int) -> Passed:
        """Return the text up to `most`, without the matches that begin before it."""
        if most <= 0:
            return Passed("")
        out: list[str] = []
        position = 0
        for begin, end, rule in self._matches(most):
            self._note(rule)
            if rule.action == "log":
                continue
            if begin >= self._removed:
                out.append(self._held[max(position, self._removed) : begin])
                position = begin
            if rule.action == "refuse":
                self._held = ""
                return Passed("".join(out), rule)
            self.is_rewritten = True
            if begin >= self._removed:
                out.append(rule.replacement)
            self._removed = max(self._removed, end)
        out.append(self._held[max(position, self._removed) : most])
        self._before, self._held = self._held[most - 1 : most], self._held[most:]
        self._next = [max(0, place - most) for place in self._next]
        self._removed = max(0, self._removed - most)
        return Passed("".join(out))

    def _matches(self, most: int) -> list[tuple[int, int, BoundRule]]:
        """Return the matches that begin before `most`, by their beginning."""
        text, offset = self._before + self._held, len(self._before)
        matches = []
        for number, rule in enumerate(self._rules):
            for match in rule.pattern.matches(text, offset + self._next[number], self._tick):
                begin, end = match.start() - offset, match.end() - offset
                if begin >= most:
                    break
                matches.append((begin, end, rule))
                self._next[number] = end
            self._next[number] = max(self._next[number], most)
        return sorted(matches, key=lambda match: match[0])
