"""Who is asking: the key of a request, from any of the headers clients use (design.md 1.1, 8)."""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

from gateway.errors import BadRequest, Unauthorized

_KEY = re.compile(r"[!-~]{1,512}")


class Client(Struct, frozen=True):
    """Who calls us. In pass-through mode `key` is the client's own Gemini key."""

    key: str
    fingerprint: str
    """The first 8 hex digits of the key's SHA-256: enough to tell clients apart in a log, and no secret."""
    scope: str = ""
    """The whole digest: what is kept for one client is never another's."""


def identify(headers: Mapping[str, str]) -> Client:
    """The client of a request. Raises Unauthorized without a usable key, BadRequest for two different ones."""
    get = headers.get
    return _client(get("Authorization", ""), get("x-api-key"), get("x-goog-api-key"))


@lru_cache(1024)
def _client(authorization: str, *others: str | None) -> Client:
    found = {value for value in (_bearer(authorization), *others) if value}
    if not found:
        raise Unauthorized(
            "You didn't provide an API key. Send your Gemini API key in an Authorization header "
            "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
    if len(found) > 1:
        raise BadRequest("two different API keys in one request", code="conflicting_api_keys")
    key = found.pop()
    if _KEY.fullmatch(key) is None:
        raise Unauthorized("Incorrect API key provided: it holds characters that no key has.")
    scope = digest(key)
    return Client(key, scope[:8], scope)


def digest(key: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def _bearer(authorization: str) -> str | None:
    """The token of `Authorization: Bearer` (RFC 6750); other schemes carry no key of ours."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
