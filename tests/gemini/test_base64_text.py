"""Base64 in pieces is that of the standard library."""

import base64
import os

import msgspec
import pytest

from gateway.gemini.base64_text import decoded, encoded, encoded_json

PIECE = 384 * 1024
SIZES = (0, 1, 2, 3, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 2, 3 * PIECE)


@pytest.mark.parametrize("size", SIZES)
def test_pieces_add_up_to_base64(size: int) -> None:
    data = os.urandom(size)
    text = base64.b64encode(data).decode()

    assert encoded(data) == text
    assert msgspec.json.encode({"data": encoded_json(data)}) == b'{"data":"%s"}' % text.encode()
    assert (decoded(text), decoded(text, strict=True)) == (data, data)


def test_lines_are_left_out_unless_it_is_strict() -> None:
    data = os.urandom(2 * PIECE)
    text = base64.encodebytes(data).decode()

    assert decoded(text) == data
    with pytest.raises(ValueError, match="base64"):
        decoded(text, strict=True)


@pytest.mark.parametrize("at", [10, PIECE // 3 * 4 - 4, PIECE // 3 * 4, PIECE // 3 * 4 + 7])
@pytest.mark.parametrize("wrong", ["=", "QQ==", "é", "!", "\n", "-"])
def test_what_is_no_base64_is_refused_as_by_the_library(at: int, wrong: str) -> None:
    text = base64.b64encode(os.urandom(2 * PIECE)).decode()
    text = text[:at] + wrong + text[at + len(wrong) :]

    for strict in (False, True):
        try:
            expected = base64.b64decode(text, validate=strict)
        except ValueError:
            with pytest.raises(ValueError, match=r".+"):
                decoded(text, strict=strict)
        else:
            assert decoded(text, strict=strict) == expected
