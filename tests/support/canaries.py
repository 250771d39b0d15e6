"""Planted secrets, and a search for them in whatever came out, in every form in which they could be there."""

import base64
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

_RUN = 8
"""Characters of a secret that nobody must see in a row."""
_BODY = "Zk7Qw9LmX2cVb4Ns8Tr1Yh6Pd3Gf5Jk0"


def _key(prefix: str, number: int, length: int = 32) -> str:
    """Return a key with a prefix of its kind; each number gives another."""
    turned = _BODY[number:] + _BODY[:number]
    return prefix + (turned * 2)[:length]


CANARIES: dict[str, str] = {
    "google": _key("AIza", 1, 35),
    "google, short": _key("AIza", 2, 12),
    "google, new": _key("AQ.", 3, 40),
    "google, OAuth": _key("ya29.", 4, 60),
    "google, client secret": _key("GOCSPX-", 5, 28),
    "google, refresh": _key("1//0", 6, 40),
    "issued": _key("sk-gw-", 7, 43),
    "issued, cut": _key("gw-", 8, 43),
    "openai": _key("sk-", 9, 48),
    "openai, project": _key("sk-proj-", 10, 64),
    "anthropic": _key("sk-ant-api03-", 11, 64),
    "token": f"{_key('eyJ', 12, 30)}.{_key('eyJ', 13, 40)}.{_key('', 14, 43)}",
}
"""By kind: those that a form gives away."""

NAMED: dict[str, str] = {
    "bearer": f"Bearer {_key('', 15)}",
    "bearer, short": f"bearer {_key('', 16, 9)}",
    "basic": f"Basic {_key('', 17, 24)}==",
    "key=": f"?key={_key('', 18)}",
    "api_key=": f"api_key={_key('', 19)}",
    "token=": f"access_token={_key('', 20)}",
    "secret=": f"client_secret={_key('', 21)}",
    "password=": f"password={_key('', 22)}",
    "userinfo": f"https://me:{_key('', 23)}@example.com/x",
    "PEM": f"-----BEGIN PRIVATE KEY-----\n{_key('', 24, 60)}\n-----END PRIVATE KEY-----",
    "PEM, cut": f"-----BEGIN RSA PRIVATE KEY-----\n{_key('', 25, 60)}",
    "encoded": "".join(f"%{ord(letter):02X}" for letter in _key("AIza", 26, 30)),
    "half encoded": _key("AIza", 27, 10) + "%2D" + _key("", 28, 24),
}
"""By kind: those that the words around them give away, and hidden ones."""


def forms(secret: str) -> Iterator[bytes]:
    """Yield the forms of a secret: plain, percent-encoded, and in base64 at each of its three alignments."""
    data = secret.encode()
    yield data
    yield quote(secret, safe="").encode()
    yield "".join(f"%{byte:02x}" for byte in data).encode()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data)
        skipped = (before * 8 + 5) // 6  # the characters that the bytes before it take part in
        yield encoded[skipped : len(encoded) - 4]


def _needles(secrets: Iterable[str]) -> Iterator[bytes]:
    for secret in secrets:
        plain = re.sub(r"^-----BEGIN [A-Z ]*-----\n|\n-----END.*$", "", secret)
        plain = (
            re.sub(r"^.*?(?:[ =]|//me:)(?=\w)|@.*$|=+$", "", plain)
            if " " in plain or "=" in plain or "@" in plain
            else plain
        )
        for form in forms(plain):
            for start in range(max(1, len(form) - _RUN + 1)):
                yield form[start : start + _RUN].lower()


_ALL = frozenset(_needles([*CANARIES.values(), *NAMED.values()]))


def hits(data: bytes | str) -> list[str]:
    """Return the places where the data contains a piece of a planted secret, with the text around; none if it is clean."""
    whole = data.encode() if isinstance(data, str) else data
    lowered, result, i = whole.lower(), [], 0
    while i <= len(lowered) - _RUN:
        if lowered[i : i + _RUN] in _ALL:
            result.append(whole[max(0, i - 60) : i + 60].decode("utf-8", "replace"))
            i += 60
        i += 1
    return result
