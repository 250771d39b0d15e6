"""Base64 of media, encoded and decoded in pieces.

The functions of `base64` keep the interpreter's lock for as long as they run: 20 ms for a recording of 14 MB, in which
the event loop waits, whatever thread they run in. Between two pieces it runs.
"""

from base64 import b64decode
from binascii import Error, a2b_base64, b2a_base64
from typing import Final

from msgspec import Raw

_PIECE: Final = 384 * 1024
"""Bytes that are encoded at once: a multiple of 3, so that only the last piece is padded."""
_PIECE_OF_TEXT: Final = _PIECE // 3 * 4


def encoded(data: bytes) -> str:
    """Return bytes in base64."""
    return b"".join(_pieces(data)).decode()


def encoded_json(data: bytes) -> Raw:
    """Return bytes in base64 as a JSON string, which an encoder copies without a look at each character."""
    return Raw(b"".join((b'"', *_pieces(data), b'"')))


def decoded(text: str, *, strict: bool = False) -> bytes:
    """Return the bytes of base64, as `base64.b64decode` does. Raises ValueError for what is none.

    Unless it is `strict`, characters that are not base64, such as ends of lines, are left out.
    """
    if len(text) > _PIECE_OF_TEXT:
        try:
            return _decoded_pieces(text)
        except Error:
            pass  # perhaps ends of lines; otherwise the next line raises the error
    return b64decode(text, validate=strict)


def _pieces(data: bytes) -> list[bytes]:
    view = memoryview(data)
    return [b2a_base64(view[i : i + _PIECE], newline=False) for i in range(0, len(data), _PIECE)]


def _decoded_pieces(text: str) -> bytes:
    """Return the bytes of base64. Raises Error for anything else in it, and for padding that is not at the end."""
    pieces: list[bytes] = []
    for start in range(0, len(text), _PIECE_OF_TEXT):
        if pieces and len(pieces[-1]) != _PIECE:
            raise Error("padding within the text")
        pieces.append(a2b_base64(text[start : start + _PIECE_OF_TEXT], strict_mode=True))
    return b"".join(pieces)
