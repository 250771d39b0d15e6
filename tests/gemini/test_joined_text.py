"""A text that arrives in small pieces."""

import pytest

from gateway.gemini.joined_text import JoinedText


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 32, 1000])
def test_the_text_is_whole_at_each_length(count: int) -> None:
    text, pieces = JoinedText(), [f"{i}é😀\r\n" for i in range(count)]
    for piece in pieces:
        text.add(piece)

    assert str(text) == "".join(pieces)
    assert len(text) == len("".join(pieces))


def test_many_pieces_are_added_at_once() -> None:
    text = JoinedText()
    text.add("a")
    text.extend([str(i) for i in range(40)])
    text.extend([])
    text.extend(["z"])

    assert str(text) == "a" + "".join(map(str, range(40))) + "z"
    assert text.pieces == ["z"]
