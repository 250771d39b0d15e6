"""Response cache: the same call by the same client gets the same answer from the gateway, without a call of Gemini.

Caching is exact and opt-in: an issued key's `cache` rule or a request's `x-gateway-cache: SECONDS` turns it on. Only
complete answers are cached, as Gemini sent them, so that each endpoint renders them itself, streamed or not.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.errors import BadRequest
from gateway.gemini.call import GeminiCall
from gateway.policy.clients.access import Client
from gateway.store.key_value import KeyValueStore, StoreLimits

HEADER = "x-gateway-cache"
LARGEST = 2**20
"""Bytes of the largest answer that is cached."""


class CacheConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Answers cached for clients that ask for it, by `x-gateway-cache: SECONDS` or by an issued key's rules."""

    seconds: Annotated[
        float,
        Meta(ge=0, le=31_536_000, description="Longest time that a client may ask for; 0 turns caching off."),
    ] = 86400.0
    megabytes: Annotated[int, Meta(ge=1, le=4096, description="Largest size in MiB.")] = 64

    @property
    def limits(self) -> StoreLimits:
        """Limits of the store."""
        return StoreLimits(self.megabytes, max(self.seconds, 1.0) / 3600)


class _Entry(Struct):
    key: str
    until: float
    answer: list[Raw]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Entry).decode


class ResponseCache:
    """Answers by key, in any key-value store."""

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    async def get(self, key: bytes, now: float) -> list[bytes] | None:
        """Return Gemini's messages, one or those of a stream, or None."""
        text = (await self._store.get([key], now)).get(key)
        if text is None:
            return None
        try:
            entry = _decode(text)
        except msgspec.DecodeError:  # written by another version
            return None
        # a store that mixes up entries must not show one client another's answer, as happened with redis-py at OpenAI:
        # https://openai.com/index/march-20-chatgpt-outage/
        if entry.key != key.hex() or now >= entry.until:
            return None
        return [bytes(message) for message in entry.answer]

    async def put(self, key: bytes, messages: Sequence[bytes], seconds: float, now: float) -> None:
        """Cache a complete answer for some seconds, unless it is too large."""
        if sum(map(len, messages)) > LARGEST:
            return
        answer = [Raw(msgspec.json.format(message, indent=-1)) for message in messages]  # each on one line
        await self._store.put({key: _encode(_Entry(key.hex(), now + seconds, answer)).decode()}, now)


def answer_key(call: GeminiCall, client: Client) -> bytes:
    """Return the 16-byte key of a call: client, model and request. Streamed and unary calls share it."""
    digest = hashlib.sha256(f"{client.scope}\0{call.model}\0".encode())
    digest.update(call.encode())
    return digest.digest()[:16]


def seconds(header: str | None, rule: float | None, most: float) -> float:
    """Return how long the answer to a request may be cached, by its header or the client's rule; 0.0 for not at all.

    Raises BadRequest for an invalid header.
    """
    if header is None:
        return min(rule or 0.0, most)
    header = header.strip().lower()
    if header in ("off", "no", "no-store"):
        return 0.0
    if not (header.isascii() and header.isdecimal()) or len(header) > 12:
        raise BadRequest(
            f"Invalid value for header {HEADER}: expected a number of seconds or `off`.",
            param=HEADER,
            code="invalid_value",
        )
    return min(float(header), most)
