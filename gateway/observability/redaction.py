"""Redaction of log lines: secrets are replaced, invisible characters are escaped, long texts are cut."""

import re

from gateway.errors import scrub

_CREDENTIALS = re.compile(r"(?:(?<=bearer )|(?<=basic ))[^\s\"\\]+", re.IGNORECASE)
"""Credentials of any form. `scrub` leaves words that follow "Bearer" in messages for clients."""
_HINTS = (
    b"aiza", b"aq.", b"gw-", b"sk-", b"ya29.", b"gocspx-", b"1//0", b"eyj", b"bearer ", b"basic ", b"key=", b"api_key:",
    b"token=", b"secret=", b"password=", b"passwd=", b"://", b"private key", b"%",
)  # fmt: skip
"""One of these is in every line, in lower case, that `redacted` changes: most lines need no search for patterns."""
_INVISIBLE = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""DEL and C1 controls, which terminals obey, and characters that change the direction or break the line of a text."""


def redacted(text: str) -> str:
    """Return the text with every secret replaced by `****`: by its own form, or by the word before it."""
    return _CREDENTIALS.sub("****", scrub(text))


def redacted_line(line: bytes) -> bytes:
    """Return a line of the log without secrets, wherever in it they are. It stays one JSON object."""
    lowered = line.lower()
    for hint in _HINTS:  # a generator in `any` costs twice as much
        if hint in lowered:
            return redacted(line.decode(errors="replace")).encode()
    return line


def printable(line: bytes) -> bytes:
    """Return a line with its invisible characters escaped. The encoder has escaped those below U+0020."""
    if line.isascii() and b"\x7f" not in line:
        return line
    text = line.decode(errors="replace")
    return _INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode()


def shortened(text: str, limit: int) -> str:
    """Return the text, or its first `limit` characters and an ellipsis."""
    return text if len(text) <= limit else text[:limit] + "…"
