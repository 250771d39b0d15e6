"""Long beginnings of prompts that come again, and the cached contents that hold them at Google.

Google's explicit cache keeps a system instruction, tools and the first contents of a prompt
(https://ai.google.dev/api/caching). A call that names it sends only what follows.
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

from msgspec import Struct

from gateway.gemini.wire import Content, GenerateContentRequest, encode_json
from gateway.policy.bounded import BoundedMapping

_MOST_SEEN = 20_000
"""Beginnings that are remembered. Each takes about 200 bytes."""
_MOST_BEGINNINGS = 1000
"""Beginnings of one prompt: those of short turns must not displace all others."""
_MOST_CACHES = 10_000
_SPARE = 30.0
"""Seconds before its end from which on a cache is not used any more."""
_GROWTH = 2
"""A longer cache replaces one of which it is so many times the size: a growing conversation is sent few times."""


class Prefix(NamedTuple):
    """The beginning of a prompt."""

    contents: int
    """Number of contents; the system instruction and the tools belong to each beginning."""
    digest: bytes
    size: int
    """Bytes as JSON."""


class Cache(Struct):
    """A cached content at Google."""

    name: str
    """`cachedContents/abc`."""
    prefix: Prefix
    tokens: int
    expires: float
    """Unix time in seconds."""
    renewing: bool = False
    """Its end is being put off."""


def prefixes(request: GenerateContentRequest, model: str, least: int) -> list[Prefix]:
    """Return the beginnings of at least `least` bytes after which a user's turn follows, the shortest first.

    A function's call and its result are never parted.
    """
    head = encode_json((model, request.system_instruction, request.tools, request.tool_config))
    digest, size = hashlib.sha256(head).digest(), len(head)
    result = []
    for i, content in enumerate(request.contents):
        if size >= least and _is_begin(content):
            result.append(Prefix(i, digest, size))
            if len(result) == _MOST_BEGINNINGS:
                break
        data = encode_json(content)
        digest, size = hashlib.sha256(digest + data).digest(), size + len(data)
    return result


def _is_begin(content: Content) -> bool:
    """Return whether a turn of the user's begins here."""
    return content.role in (None, "user") and all(
        part.function_response is None for part in content.parts or ()
    )


class PrefixMemory:
    """The beginnings of each client's prompts, and its caches by project."""

    def __init__(self, asks: int, window: float, most: int) -> None:
        """A beginning is worth a cache when it comes for the `asks`th time, each within `window` seconds.

        A client has `most` caches.
        """
        self._asks, self._window, self._most = asks, window, most
        self._seen: BoundedMapping[tuple[str, bytes], tuple[int, float]] = BoundedMapping(_MOST_SEEN)
        """Number of times that a client's beginning came, and the time of the last, in Unix seconds."""
        self._caches: BoundedMapping[tuple[str, str, bytes], Cache] = BoundedMapping(_MOST_CACHES)
        """By client, project and digest."""

    def find(self, client: str, project: str, beginnings: Sequence[Prefix], now: float) -> Cache | None:
        """Return the longest cache that holds one of the beginnings."""
        for prefix in reversed(beginnings):
            cache = self._caches.get((client, project, prefix.digest))
            if cache is not None:
                if cache.expires - _SPARE > now:
                    return cache
                self.forget(client, project, cache)
        return None

    def see(self, client: str, beginnings: Sequence[Prefix], now: float) -> Prefix | None:
        """Count the beginnings of an answered prompt. Return the longest one that is worth a cache."""
        worth = None
        for prefix in beginnings:
            count, last = self._seen.get((client, prefix.digest), (0, now))
            count = count + 1 if now - last <= self._window else 1
            self._seen[client, prefix.digest] = (count, now)
            if count >= self._asks:
                worth = prefix
        return worth

    def wants(self, client: str, project: str, prefix: Prefix, current: Cache | None, now: float) -> bool:
        """Return whether a cache is to be made beside or in place of the one that the prompt has used."""
        if current is not None:
            return prefix.size >= current.prefix.size * _GROWTH
        alive = [key for key, cache in self._caches.items() if key[0] == client and cache.expires > now]
        return len(alive) < self._most

    def keep(self, client: str, project: str, cache: Cache) -> None:
        """Use a cache from now on."""
        self._caches[client, project, cache.prefix.digest] = cache

    def forget(self, client: str, project: str, cache: Cache) -> None:
        """Use a cache no more."""
        self._caches.pop((client, project, cache.prefix.digest), None)

    def unsee(self, client: str, beginnings: Collection[Prefix]) -> None:
        """Begin to count some beginnings anew, after Google has refused to keep one."""
        for prefix in beginnings:
            self._seen.pop((client, prefix.digest), None)
