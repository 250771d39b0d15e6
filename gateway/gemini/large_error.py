"""Error bodies that are too large to be read.

Google repeats what a client wrote, twice in a 400, so a client decides how large the body is.
"""

import re
from contextlib import suppress

import msgspec

_SHORT_BODY = 4096
"""Bytes that are read of an error that is too large."""
_FIRST_WORDS = re.compile(
    r'\A\s*(?:\[\s*)?\{\s*"error"\s*:\s*\{\s*(?:"code"\s*:\s*\d+\s*,\s*)?"message"\s*:\s*'
    r'"((?:[^"\\\x00-\x1f]|\\u[0-9a-fA-F]{4}|\\["\\/bfnrt])*)'
)
"""An error body up to its message, as Google writes it. The message may be cut anywhere."""
_HALF_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\Z")
"""The first half of a surrogate pair, at the end (RFC 8259, section 7)."""


def shortened(status: int, body: bytes) -> bytes:
    """Return a small error body in place of one that is too large to be read: the beginning of its message.

    Only the place where Google writes its message is looked at.
    """
    match = _FIRST_WORDS.match(body[:_SHORT_BODY].decode(errors="ignore"))
    message = ""
    if match is not None:
        with suppress(msgspec.DecodeError):
            message = msgspec.json.decode(f'"{_HALF_PAIR.sub("", match[1])}"', type=str) + "…"
    message = message or f"The upstream answered {status} with a body that is too large to be read."
    return msgspec.json.encode({"error": {"code": status, "message": message}})
