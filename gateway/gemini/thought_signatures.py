"""Thought signatures, and the keys under which the gateway stores them.

A signature belongs to exactly one part and must come back on it
(https://ai.google.dev/gemini-api/docs/thought-signatures). For clients that drop unknown fields the gateway stores
signatures: by the call's id, and by what was called. The keys of one client never match another's.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Self

import msgspec
from msgspec import Struct

from gateway.gemini.json_shape import has_long_number

DUMMY = "skip_thought_signature_validator"
"""Google's own value for a call that another model, or nobody, has signed."""
_LONGEST = 2**18
"""Characters of arguments that are decoded: a long text may hold millions of values."""
MOST_LOOKED_UP = 2**21
"""Characters of arguments of one request by which signatures are looked up. Later calls need their own."""
_SUFFIX = "__thought__"
StoredSignatures = Mapping[bytes, str]
"""Signatures that the store knows, by key."""


class Signed(Struct, frozen=True):
    """A part of an answer: the keys to store it under, and the signature that it must carry when it comes back."""

    keys: tuple[bytes, ...]
    signature: str
    """The signature; or, of a part that one of Google's own tools made, the whole part as JSON."""


class SignatureKeys:
    """Makes the store's keys for one client; `scope` is a digest of the client's key."""

    def __init__(self, scope: str) -> None:
        self._scope = scope.encode()

    @classmethod
    @lru_cache(256)
    def of(cls, scope: str) -> Self:
        """Return the keys of one client. They are the same object for each of its requests."""
        return cls(scope)

    def call(self, call_id: str, name: str, arguments: str) -> tuple[bytes, bytes]:
        """Return the keys of a call: by its id, and by its content."""
        return self.by_id(call_id, name), self._digest(b"content", name, _canonical(arguments))

    def by_id(self, call_id: str, name: str) -> bytes:
        """Return the key of a call by its id."""
        return self._digest(b"id", call_id, name)

    def image(self, data: str) -> tuple[bytes]:
        """Return the key of an image, by its base64."""
        return (self._digest(b"image", data),)

    def server_part(self, call_id: str, number: int) -> bytes:
        """Return the key of a part that one of Google's own tools made: 0 is the call, 1 its first result."""
        return self._digest(b"server", call_id, str(number))

    def before_call(self, call_id: str) -> bytes:
        """Return the key of the parts that Google's own tools made before a call."""
        return self._digest(b"before", call_id)

    def answer(self, text: str) -> bytes:
        """Return the key of the parts that Google's own tools made in an answer without calls, by its whole text."""
        return self._digest(b"answer", text)

    def _digest(self, kind: bytes, *words: str) -> bytes:
        digest = hashlib.blake2b(self._scope, digest_size=16, key=kind)
        for word in words:
            digest.update(b"\0" + word.encode())
        return digest.digest()


def split_id(call_id: str) -> tuple[str, str | None]:
    """Return a call's id, and the signature that LiteLLM appends to it."""
    head, separator, signature = call_id.partition(_SUFFIX)
    return (head, signature or None) if separator else (call_id, None)


def _canonical(arguments: str) -> str:
    """Return a JSON text that is the same for every order of keys and every spacing.

    A long text stays as it is, and one with a long number.
    """
    if len(arguments) > _LONGEST or has_long_number(arguments.encode()):
        return arguments
    try:
        return msgspec.json.encode(msgspec.json.decode(arguments or "{}"), order="deterministic").decode()
    except (msgspec.DecodeError, RecursionError):
        return arguments
