"""Limits on the depth, the number of values and the digits of numbers of JSON, checked before it is decoded.

A decoder holds the event loop, and its time grows with the number of values rather than with the bytes: an image is one
long string. Only byte operations are used here, without a Python loop over the input.
"""

import codecs
from collections.abc import Mapping

from gateway.errors import BadRequest

MOST_LEVELS = 100
"""Levels of nesting."""
MOST_MARKS = 300_000
"""Brackets, commas and colons; decoding so many takes about 20 ms."""
MOST_ESCAPES = 4_000_000
"""Backslashes; decoding so many takes about 50 ms in one piece. No model reads a text with so many."""
LONG_NUMBER = 400
"""Digits. The largest double has 309 (RFC 8259, section 6)."""
MOST_LONG_DIGITS = 40_000
"""Digits of long numbers. Making an integer takes time that grows with the square of its digits: these take 4 ms, 32 MB
of numbers with 4,200 digits each two seconds in one piece."""
_LONGEST_NAME = 64
"""Characters of a field's name that an error repeats."""
_BLOCK = 2**18
_SPARSE = 64
_FEW_STRINGS = 10_000
"""Up to so many strings, removing them costs little and counts exactly."""


def check(data: bytes) -> None:
    """Raise BadRequest for JSON that is nested too deeply, has too many values, or too many digits."""
    if len(data) <= MOST_LEVELS:  # so few bytes reach no limit
        return
    _check_values(data)
    if has_long_number(data, MOST_LONG_DIGITS):
        raise BadRequest(
            f"The request body holds more than {MOST_LONG_DIGITS} digits of numbers with {LONG_NUMBER} or more each.",
            code="invalid_json",
        )


def has_long_number(data: bytes, allowed: int = 0) -> bool:
    """Return whether long numbers of JSON, outside its strings, have more than `allowed` digits in all.

    So many digits in a row show in a sample of the bytes, which takes 2 ms for 32 MB. A closer look is seldom needed.
    """
    if len(data) < LONG_NUMBER or len(data) <= allowed:
        return False
    most = allowed // LONG_NUMBER
    if data[::_STRIDE].translate(_AS_ZEROS).count(_SAMPLED_NUMBER) <= most:
        return False
    return without_strings(data).translate(_AS_ZEROS).count(_NUMBER) > most


def count(data: bytes, mark: bytes) -> int:
    """Return how often a byte occurs.

    `bytes.count` looks at each byte in turn. `bytes.replace` finds the next one by memchr(3), which is ten times as
    fast where there are few, as in a body that is one picture, and slower where there are many.
    """
    if len(data) > _BLOCK or data[::_SPARSE].count(mark) > 1:
        return data.count(mark)
    return len(data) - len(data.replace(mark, b""))


def _check_values(data: bytes) -> None:
    """Raise BadRequest for too many escapes, values or levels."""
    if len(data) > MOST_ESCAPES and data.count(b"\\") > MOST_ESCAPES:
        raise BadRequest(f"The request body holds more than {MOST_ESCAPES} escapes.", code="invalid_json")
    if len(data) <= MOST_MARKS and count(data, b"{") + count(data, b"[") <= MOST_LEVELS:
        return
    # Each step is exact enough to decide most bodies, and cheaper than the next one.
    strings = data.count(b'"') // 2
    bare = without_strings(data) if strings < _FEW_STRINGS < len(data) else data
    opened = bare.count(b"{") + bare.count(b"[")
    marks = opened + bare.count(b",") + bare.count(b":")
    if strings > MOST_MARKS and strings - data.count(b'\\"') // 2 > MOST_MARKS:
        raise _too_many()  # every string is a key or a value
    if opened <= MOST_LEVELS and marks <= MOST_MARKS:
        return
    if bare is data:
        bare = without_strings(data)
    if marks > MOST_MARKS and sum(bare.count(mark) for mark in (b"{", b"[", b",", b":")) > MOST_MARKS:
        raise _too_many()
    if _deeper_than(MOST_LEVELS, bare):
        raise BadRequest(
            f"The request body is nested more than {MOST_LEVELS} levels deep.", code="invalid_json"
        )


def check_text(data: bytes, fields: Mapping[str, bytes | memoryview]) -> None:
    """Raise BadRequest naming the field of a JSON object whose text is not UTF-8.

    A decoder checks only what it decodes. `fields` are the object's fields, undecoded. ASCII costs next to nothing.
    """
    if data.isascii() or _is_utf8(data):
        return
    for name, value in fields.items():
        if not _is_utf8(value):
            raise BadRequest(
                f"The request body is not valid JSON: '{name[:_LONGEST_NAME]}' is not UTF-8.",
                param=name[:_LONGEST_NAME],
                code="invalid_json",
            )


def _is_utf8(data: bytes | memoryview) -> bool:
    """Decode block by block: the text of a whole body may take four times its bytes, and other threads run between."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    try:
        for i in range(0, len(view), _BLOCK):
            decoder.decode(bytes(view[i : i + _BLOCK]))
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _too_many() -> BadRequest:
    return BadRequest(f"The request body holds more than {MOST_MARKS} values.", code="invalid_json")


def without_strings(data: bytes) -> bytes:
    """Return the JSON without its strings, which begin and end with a quote that no backslash precedes."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(data.split(b'"')[::2])


def _deeper_than(limit: int, bare: bytes) -> bool:
    """Return whether brackets are left after `limit` rounds that each remove the innermost pairs."""
    brackets = bare.translate(_AS_BRACES, _NO_BRACKETS)
    for _ in range(limit):
        fewer = brackets.replace(b"{}", b"")
        if len(fewer) == len(brackets):
            return False  # none left, or unbalanced, which the decoder reports
        brackets = fewer
    return bool(brackets)


_AS_BRACES = bytes.maketrans(b"[]", b"{}")
"""One kind of brackets: with two, a round would remove an object and the array around it."""
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_STRIDE = 25
_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_NUMBER = b"0" * LONG_NUMBER
_SAMPLED_NUMBER = b"0" * (LONG_NUMBER // _STRIDE)
