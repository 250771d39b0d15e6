"""A look at JSON before it is decoded: how deep, how much of it (design.md 1.1, 12).

The decoder holds the event loop while it works, and its time goes with the structure, not with the bytes: an image is
one long string. All of this is done by the byte operations of C, without a loop over the input.
"""

from gateway.errors import BadRequest

DEEPEST = 100
"""Levels of nesting."""
MOST_STRUCTURE = 300_000
"""Brackets, commas and colons: what is decoded in about 20 ms."""
_FEW_STRINGS = 10_000


def check(data: bytes) -> None:
    """Raises BadRequest for JSON nested too deeply, or of too many values."""
    if len(data) <= MOST_STRUCTURE and data.count(b"{") + data.count(b"[") <= DEEPEST:
        return
    strings = data.count(b'"') // 2
    bare = _without_strings(data) if strings < _FEW_STRINGS < len(data) else data
    opened = bare.count(b"{") + bare.count(b"[")
    structure = opened + bare.count(b",") + bare.count(b":")
    if opened <= DEEPEST and structure <= MOST_STRUCTURE:
        return
    if (strings - data.count(b'\\"') // 2) > MOST_STRUCTURE:  # every string is a key or a value
        raise _too_much()
    if bare is data:
        bare = _without_strings(data)
    if (
        structure > MOST_STRUCTURE
        and sum(bare.count(mark) for mark in (b"{", b"[", b",", b":")) > MOST_STRUCTURE
    ):
        raise _too_much()
    if _deeper_than(DEEPEST, bare):
        raise BadRequest(f"the request body is nested more than {DEEPEST} levels deep", code="invalid_json")


def _too_much() -> BadRequest:
    return BadRequest(f"the request body holds more than {MOST_STRUCTURE} values", code="invalid_json")


def _without_strings(data: bytes) -> bytes:
    """What stands between the strings: they begin and end with a quote that no backslash precedes."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(data.split(b'"')[::2])


def _deeper_than(limit: int, bare: bytes) -> bool:
    """Take away the innermost pairs, level by level; whatever is left after `limit` rounds lies deeper."""
    brackets = bare.translate(None, _NO_BRACKETS)
    for _ in range(limit):
        fewer = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(fewer) == len(brackets):
            return False  # all gone, or not in pairs: the decoder will say so
        brackets = fewer
    return bool(brackets)


_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
