"""Segments made of words."""

import pytest

from gateway.plugins.transcription.words import Piece, Word, bounded, clock, offset, ordered, pieces, turns


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0.1s", 0.1), ("12s", 12), ("1.5", 1.5), ("", 0), ("x", 0), ("-1s", 0), ("1:02", 0)],
)
def test_offsets(value: str, seconds: float) -> None:
    assert offset(value) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("01:02.5", 62.5),
        ("1:00:00", 3600),
        ("00:01,5", 1.5),
        ("7", 7),
        (3.5, 3.5),
        ("soon", None),
        (-1, None),
        ("", None),
    ],
)
def test_clocks(value: str | float, seconds: float | None) -> None:
    assert clock(value) == seconds


def test_a_segment_ends_with_a_sentence_a_pause_a_speaker_or_after_twelve_seconds() -> None:
    words = [
        Word("One.", 0, 0.5), Word("two", 0.6, 1), Word("three", 2, 2.5), Word("four", 2.6, 3, "B"),
        *(Word("five", 3 + i, 4 + i, "B") for i in range(13)),
    ]  # fmt: skip
    parts = pieces(words, " ".join(word.text for word in words))

    assert [part.text.split()[0] for part in parts] == ["One.", "two", "three", "four", "five"]
    assert all(part.end - part.start <= 12 for part in parts)


def test_texts_keep_their_blanks() -> None:
    words = [Word("你好。", 0, 1), Word("世界", 1, 2), Word("和平", 2, 3)]

    assert [part.text for part in pieces(words, "你好。世界和平")] == ["你好。", "世界和平"]
    assert [part.text for part in pieces(words, "another text")] == ["你好。", "世界 和平"]


def test_times_never_go_back() -> None:
    assert [(word.start, word.end) for word in ordered([Word("a", 2, 3), Word("b", 1, 0.5)])] == [
        (2, 3),
        (2, 2),
    ]
    parts = bounded([Piece("a", 1, 2), Piece("b", 0.5, 9), Piece("c", 8, 9)], 3)
    assert [(part.start, part.end) for part in parts] == [(1, 2), (1, 3), (3, 3)]


def test_speakers_beyond_z() -> None:
    parts = turns([Piece("x", i, i + 1, f"spk_{i}") for i in range(28)])

    assert [parts[0].speaker, parts[25].speaker, parts[26].speaker, parts[27].speaker] == [
        "A",
        "Z",
        "AA",
        "AB",
    ]
