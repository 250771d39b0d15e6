"""Gemini's answers, kept for clients that ask for it: the same call by the same client gets the same answer.

Exact and opt-in: a key that is issued with `cache`, or a request's `x-gateway-cache: SECONDS`, says so. Only whole
answers are kept, as Gemini sent them, so that every surface tells them in its own way, streamed or not.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.errors import BadRequest
from gateway.gemini.call import GeminiCall
from gateway.policy.access import Client
from gateway.store.key_value import KeyValueStore, StoreLimits

HEADER = "x-gateway-cache"
LARGEST = 2**20
"""Bytes of one answer."""


class CacheConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Answers kept for who asks for it, by `x-gateway-cache: SECONDS` or by an issued key's rules."""

    seconds: Annotated[
        float, Meta(ge=0, le=31_536_000, description="Kept so long at most, whatever is asked; 0: none are.")
    ] = 86400.0
    megabytes: Annotated[int, Meta(ge=1, le=4096, description="Kept at most, in MiB.")] = 64

    @property
    def bounds(self) -> StoreLimits:
        """For the store that keeps them."""
        return StoreLimits(self.megabytes, max(self.seconds, 1.0) / 3600)


class _Kept(Struct):
    key: str
    until: float
    answer: list[Raw]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Kept).decode


class ResponseCache:
    """Answers by key, in any store of texts."""

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    async def get(self, key: bytes, now: float) -> list[bytes] | None:
        """Gemini's messages, one or those of a stream; None when there are none, or they are too old."""
        text = (await self._store.get([key], now)).get(key)
        if text is None:
            return None
        try:
            kept = _decode(text)
        except msgspec.DecodeError:  # another program's, or another version's: not known
            return None
        # a store that answers with another entry must not show one client what another asked (robustness.md S70)
        if kept.key != key.hex() or now >= kept.until:
            return None
        return [bytes(message) for message in kept.answer]

    async def put(self, key: bytes, messages: Sequence[bytes], seconds: float, now: float) -> None:
        """Keep a complete answer, unless it is too large. `seconds` is how long it may be used."""
        if sum(map(len, messages)) > LARGEST:
            return
        answer = [Raw(msgspec.json.format(message, indent=-1)) for message in messages]  # each on one line
        await self._store.put({key: _encode(_Kept(key.hex(), now + seconds, answer)).decode()}, now)

    async def close(self) -> None:
        await self._store.close()


def answer_key(call: GeminiCall, client: Client) -> bytes:
    """Return a digest of the client, the model and the request. Whether it is streamed makes no difference."""
    digest = hashlib.sha256(f"{client.scope}\0{call.model}\0".encode())
    digest.update(call.encode())
    return digest.digest()[:16]


def seconds(given: str | None, rule: float | None, most: float) -> float:
    """How long this request's answer may be kept, and an older one serve. Raises BadRequest for an odd header."""
    if given is None:
        return min(rule or 0.0, most)
    given = given.strip().lower()
    if given in ("off", "no", "no-store"):
        return 0.0
    if not (given.isascii() and given.isdecimal()) or len(given) > 12:
        raise BadRequest(f"{HEADER} is a number of seconds, or `off`", param=HEADER, code="invalid_value")
    return min(float(given), most)
