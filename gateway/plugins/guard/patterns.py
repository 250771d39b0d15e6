"""Patterns that take linear time, whatever text they meet.

Python's `re` tries every way in which a pattern can match at a place. A pattern is accepted if those ways are few and
the match is bounded: then the time for a text is its length times a constant, and the longest match says how much of a
stream must be held back.
"""

import re
from collections.abc import Callable, Iterator
from re import _constants as op  # type: ignore[attr-defined]  # the parser of `re`, which is documented nowhere else
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from msgspec import Struct

MOST_WAYS = 1000
MOST_WIDTH = 4096
"""Characters of the longest match."""
_PIECE = 4096
"""Characters that are read at once: `re` keeps the interpreter for that long."""
_PLAIN = (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY, op.AT)


class Pattern(Struct, frozen=True):
    """A compiled pattern of bounded length."""

    regex: re.Pattern[str]
    width: int
    """Characters of its longest match."""

    def matches(
        self, text: str, start: int = 0, tick: Callable[[], None] | None = None
    ) -> Iterator[re.Match[str]]:
        """Yield the matches in a text, in order. Other threads run between the pieces in which a long one is read.

        `tick` is called before each piece.
        """
        while start < len(text):
            if tick is not None:
                tick()
            stop = start + _PIECE
            position = stop
            # a match that begins before `stop` ends before the end of the piece, and so does the word that it ends
            for match in self.regex.finditer(text, start, min(len(text), stop + self.width + 1)):
                if match.start() >= stop:
                    break
                yield match
                position = max(stop, match.end())
            start = position


def compiled(text: str) -> Pattern:
    """Return a pattern. Raises ValueError for one that is no pattern, or whose time or length has no small bound."""
    try:
        tree = parser.parse(text)
        regex = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a pattern: {error}") from None
    ways = _ways(tree)
    low, high = tree.getwidth()
    if not high:
        raise ValueError("it matches no character")
    if not low:
        raise ValueError("it also matches an empty text")
    if high > MOST_WIDTH:
        raise ValueError(f"its longest match has more than {MOST_WIDTH} characters")
    if ways > MOST_WAYS:
        raise ValueError(
            f"it can match at one place in {ways} ways, more than {MOST_WAYS}: make repetitions possessive, such as "
            r"\w{1,40}+ in place of \w{1,40}"
        )
    return Pattern(regex, high)


def _ways(tree: Any) -> int:
    """Return in how many ways a part of a pattern can match at one place, at most."""
    ways = 1
    for kind, value in tree:
        ways *= _ways_of(kind, value)
    return ways


def _ways_of(kind: Any, value: Any) -> int:
    if kind in _PLAIN:
        return 1
    if kind is op.SUBPATTERN:
        return _ways(value[3])
    if kind is op.BRANCH:
        return sum(map(_ways, value[1]))
    if kind is op.ATOMIC_GROUP:
        _ways(value)  # what is not supported is not supported here either
        return 1
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        low, high, inner = value
        if high >= MOST_WIDTH:
            raise ValueError("repetitions need an end: write {1,40} in place of +, {0,40} in place of *")
        inner_ways = _ways(inner)
        if kind is op.POSSESSIVE_REPEAT:
            return 1
        if inner_ways == 1 and len(inner) == 1 and inner[0][0] in _PLAIN:
            return int(high - low + 1)
        return int(sum(min(inner_ways, MOST_WAYS + 1) ** min(n, 20) for n in range(low, high + 1)))
    raise ValueError("look-around, conditions and references to groups are not supported")
