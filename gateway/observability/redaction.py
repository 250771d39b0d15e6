"""Redaction of log lines: secrets are replaced, invisible characters are escaped, long texts are cut."""

import re
from urllib.parse import unquote

from gateway.errors import scrub

_CREDENTIALS = re.compile(r"(?:(?<=bearer )|(?<=basic ))[^\s\"\\]+", re.IGNORECASE)
"""Credentials of any form. `scrub` leaves words that follow "Bearer" in messages for clients."""
_WORD = re.compile(r"[^\s\"\\]+")
_DECODINGS = 3
"""Times that percent-encoding is undone: a proxy before the gateway and the gateway each decode a path once."""
_HINTS = (
    (" ", ("bearer ", "basic ", "private key")),
    ("=", ("key=", "token=", "secret=", "password=", "passwd=")),
    ("//", ("1//0", "://")),
    ("-", ("gw-", "sk-", "gocspx-")),
    ("", ("aiza", "aq.", "ya29.", "eyj", "api_key:", "%")),
)
"""One of these is in every line, in lower case, that `redacted` changes: most lines need no search for patterns.

Before each group stands what all of its hints contain: a usual line has no blank, "=" or "//".
"""
_LONGEST_SECRET = 4096
"""Characters of a secret of any form that is searched for."""
_INVISIBLE = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""DEL and C1 controls, which terminals obey, and characters that change the direction or break the line of a text."""


def redacted(text: str) -> str:
    """Return the text with every secret replaced by `****`: by its own form, or by the word before it.

    A secret may be percent-encoded, up to three times.
    """
    if "%" in text:  # first, so that no part of an encoded secret is taken for the whole
        text = _WORD.sub(_without_encoded, text)
    return _CREDENTIALS.sub("****", scrub(text))


def _without_encoded(match: re.Match[str]) -> str:
    """Return a word without the parts of its path that hide a secret by their encoding."""
    word = match[0]
    if not _hides_secret(word):
        return word
    parts = "/".join("****" if _hides_secret(part) else part for part in word.split("/"))
    return "****" if _hides_secret(parts) else parts


def _hides_secret(text: str) -> bool:
    for _ in range(_DECODINGS):
        decoded = unquote(text) if "%" in text else text
        if decoded == text:
            return False
        if _CREDENTIALS.sub("****", scrub(decoded)) != decoded:
            return True
        text = decoded
    return False


def redacted_line(line: bytes) -> bytes:
    """Return a line of the log without secrets, wherever in it they are. It stays one JSON object."""
    # in bytes, `in` raises an exception for itself before each search
    if may_hold_secret(line.decode("latin-1")):
        return redacted(line.decode(errors="replace")).encode()
    return line


def may_hold_secret(text: str) -> bool:
    """Return whether `redacted` may change a text. It never changes one for which this is False."""
    lowered = text.lower()
    for part, hints in _HINTS:
        if part in lowered:
            for hint in hints:  # a generator in `any` costs twice as much
                if hint in lowered:
                    return True
    return False


def printable(line: bytes) -> bytes:
    """Return a line with its invisible characters escaped. The encoder has escaped those below U+0020."""
    if line.isascii() and line.find(b"\x7f") < 0:  # `in` raises an exception for itself before the search
        return line
    text = line.decode(errors="replace")
    return _INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode()


def redacted_beginning(text: str, limit: int) -> str:
    """Return the text without secrets, or its first `limit` characters and an ellipsis.

    Only a little more than the beginning is searched, so that the time does not depend on a client's text. A secret
    that is cut would no longer be found: the search goes far enough to see the end of one that begins within `limit`.
    """
    shown = redacted(text[: limit + _LONGEST_SECRET])
    return shown if len(shown) <= limit and len(text) <= limit + _LONGEST_SECRET else shown[:limit] + "…"
