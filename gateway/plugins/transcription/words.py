"""Words and segments with their times."""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

_SENTENCE_END = (".", "?", "!", "。", "？", "！")
_GAP = 0.8
"""Seconds of silence that begin a new segment."""
_LONGEST = 12.0
"""Seconds of a segment."""
_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,4}):(\d{1,2}(?:[.,]\d+)?)|(\d+(?:[.,]\d+)?)s?")


class Word(Struct, frozen=True):
    text: str
    start: float
    end: float
    speaker: str = ""


class Piece(Struct, frozen=True):
    """A segment."""

    text: str
    start: float
    end: float
    speaker: str = ""


def offset(value: str) -> float:
    """Return the seconds of an offset such as `0.1s`; 0 for other text."""
    match = _CLOCK.fullmatch(value.strip())
    return float(match[4].replace(",", ".")) if match and match[4] else 0.0


def clock(value: str | float) -> float | None:
    """Return the seconds of a time such as `01:02.5`, which a model wrote; None for other text."""
    if not isinstance(value, str):
        return float(value) if 0 <= value < 1e6 else None
    match = _CLOCK.fullmatch(value.strip())
    if match is None:
        return None
    if match[4]:
        return float(match[4].replace(",", "."))
    return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3].replace(",", "."))


def ordered(words: Iterable[Word]) -> list[Word]:
    """Return the words with times that never go back."""
    result: list[Word] = []
    last = 0.0
    for word in words:
        start = max(word.start, last)
        last = start
        result.append(Word(word.text, start, max(word.end, start), word.speaker))
    return result


def pieces(words: Sequence[Word], text: str) -> list[Piece]:
    """Return segments of words: one ends with a sentence, before a pause or another speaker, or after 12 seconds.

    Their texts are cut from the whole text, whose blanks they keep.
    """
    groups: list[list[Word]] = []
    for word in words:
        group = groups[-1] if groups else None
        if group is None or _is_over(group, word):
            groups.append([word])
        else:
            group.append(word)
    result: list[Piece] = []
    at = 0
    for group in groups:
        content, at = _cut(group, text, at)
        result.append(Piece(content, group[0].start, group[-1].end, group[0].speaker))
    return result


def turns(parts: Sequence[Piece]) -> list[Piece]:
    """Return segments of one speaker each, called A, B, C in the order in which they begin."""
    labels: dict[str, str] = {}
    result: list[Piece] = []
    for part in parts:
        label = labels.setdefault(part.speaker, _label(len(labels)))
        last = result[-1] if result else None
        if last is not None and last.speaker == label:
            result[-1] = Piece(f"{last.text} {part.text}", last.start, part.end, label)
        else:
            result.append(Piece(part.text, part.start, part.end, label))
    return result


def bounded(parts: Iterable[Piece], duration: float | None) -> list[Piece]:
    """Return the segments with times that never go back, and that end with the audio."""
    result: list[Piece] = []
    last = 0.0
    for part in parts:
        start = max(part.start, last)
        end = max(part.end, start)
        if duration is not None:
            start, end = min(start, duration), min(end, duration)
        last = start
        result.append(Piece(part.text, start, end, part.speaker))
    return result


def _is_over(group: list[Word], word: Word) -> bool:
    last = group[-1]
    return (
        last.text.rstrip("\"'”’)").endswith(_SENTENCE_END)
        or word.start - last.end > _GAP
        or word.speaker != last.speaker
        or word.end - group[0].start > _LONGEST
    )


def _cut(group: list[Word], text: str, at: int) -> tuple[str, int]:
    """Return the text of some words, and where it ends."""
    begin, position = -1, at
    for word in group:
        place = text.find(word.text, position)
        if place < 0:
            return " ".join(word.text for word in group), at
        begin = place if begin < 0 else begin
        position = place + len(word.text)
    return text[begin:position], position


def _label(number: int) -> str:
    """Return A, B, … Z, then AA, AB, …"""
    first = _label(number // 26 - 1) if number >= 26 else ""
    return first + chr(ord("A") + number % 26)
