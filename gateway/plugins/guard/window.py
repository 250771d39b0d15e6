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
    known. `note` is told of each rule that a text breaks.
    """

    def __init__(self, rules: Sequence[BoundRule], note: Callable[[BoundRule], None]) -> None:
        self._rules = rules
        self._note = note
        self._width = max((rule.pattern.width for rule in rules), default=-1) + 1
        self._before = ""
        """The last character that was sent: a word's beginning depends on it."""
        self._held = ""
        self.is_rewritten = False

    def feed(self, piece: str) -> Passed:
        """Return the text that may be sent once a piece has arrived."""
        self._held += piece
        return self._pass(len(self._held) - self._width)

    def close(self) -> Passed:
        """Return the rest."""
        return self._pass(len(self._held))

    def _pass(self, most: int) -> Passed:
        """Return the text up to `most`, or to the end of a match that begins before it."""
        if most <= 0:
            return Passed("")
        text, start = self._before + self._held, len(self._before)
        out: list[str] = []
        position, end_of_turn = start, start + most
        for begin, end, rule in self._matches(text, start):
            if begin >= end_of_turn:
                break
            if begin < position:
                continue  # it overlaps the match before
            self._note(rule)
            out.append(text[position:begin])
            position = end
            if rule.action == "refuse":
                self._held = ""
                return Passed("".join(out), rule)
            self.is_rewritten = self.is_rewritten or rule.action == "rewrite"
            out.append(rule.replacement if rule.action == "rewrite" else text[begin:end])
        cut = max(position, end_of_turn)
        out.append(text[position:cut])
        self._before, self._held = text[cut - 1 : cut], text[cut:]
        return Passed("".join(out))

    def _matches(self, text: str, start: int) -> list[tuple[int, int, BoundRule]]:
        """Return the matches of all rules by their beginning."""
        matches = [
            (match.start(), match.end(), rule)
            for rule in self._rules
            for match in rule.pattern.matches(text, start)
        ]
        return sorted(matches, key=lambda match: match[:2])
