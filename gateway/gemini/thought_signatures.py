"""Thought signatures: where clients keep them, and the keys under which the gateway does (translation.md B.6).

A signature belongs to exactly one part and must come back on it. Clients that drop unknown fields get theirs from
the store: by the call's id, and failing that by what was called; never from another client's.
"""

import hashlib
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw, Struct

from gateway.plugins.chat.wire import CallIn, ChatRequest, Message

DUMMY = "skip_thought_signature_validator"
"""Google's own word for history that another model wrote."""
_SUFFIX = "__thought__"
Stored = Mapping[bytes, str]
"""What the store knows: key to signature."""


class Signed(Struct, frozen=True):
    """A part of an answer and the signature it must carry when it comes back."""

    keys: tuple[bytes, ...]
    signature: str


class SignatureKeys:
    """Makes the store's keys for one client; `scope` is a digest of the client's key."""

    def __init__(self, scope: str) -> None:
        self._scope = scope.encode()

    def call(self, call_id: str, name: str, arguments: str) -> tuple[bytes, bytes]:
        """By id, and by content."""
        return self._digest(b"id", call_id, name), self._digest(b"content", name, _canonical(arguments))

    def image(self, data: str) -> tuple[bytes]:
        """By the image's base64."""
        return (self._digest(b"image", data),)

    def _digest(self, kind: bytes, *words: str) -> bytes:
        digest = hashlib.blake2b(self._scope, digest_size=16, key=kind)
        for word in words:
            digest.update(b"\0" + word.encode())
        return digest.digest()


def split_id(call_id: str) -> tuple[str, str | None]:
    """An id, and the signature LiteLLM appends to it."""
    head, found, signature = call_id.partition(_SUFFIX)
    return (head, signature or None) if found else (call_id, None)


def of_call(call: CallIn, message: Message, position: int) -> str | None:
    """A call's signature as the client sent it back, from any place that clients use."""
    extra = call.extra_content
    if extra is not None:
        for place in (extra.google, extra.vertex):
            if place is not None and place.thought_signature:
                return place.thought_signature
    fields = call.provider_specific_fields
    if fields is not None and fields.thought_signature:
        return fields.thought_signature
    function = call.function
    if function is not None:
        if (
            function.provider_specific_fields is not None
            and function.provider_specific_fields.thought_signature
        ):
            return function.provider_specific_fields.thought_signature
        if function.thought_signature:
            return function.thought_signature
    return call.thought_signature or call.thoughtSignature or _elsewhere(call, message, position)


def _elsewhere(call: CallIn, message: Message, position: int) -> str | None:
    """In the id, in OpenRouter's details, in LiteLLM's list, or on a message without text."""
    call_id, signature = split_id(call.id or "")
    if signature:
        return signature
    for detail in message.reasoning_details or ():
        if detail.type == "reasoning.encrypted" and detail.data and detail.id in (call.id, call_id):
            return detail.data
    if position:
        return None
    fields = message.provider_specific_fields
    if fields is not None and fields.thought_signatures:
        return fields.thought_signatures[0]
    return None if message.content else of_text(message)


def of_text(message: Message) -> str | None:
    """The signature of a message's text."""
    extra = message.extra_content
    if extra is None:
        return None
    return next(
        (p.thought_signature for p in (extra.google, extra.vertex) if p and p.thought_signature), None
    )


def wanted(body: ChatRequest, keyring: SignatureKeys) -> list[bytes]:
    """Keys of what came back unsigned: what the store should be asked for."""
    keys: list[bytes] = []
    for message in body.messages:
        for keys_of_one in _unsigned(message, keyring):
            keys += keys_of_one
    return keys


def _unsigned(message: Message, keyring: SignatureKeys) -> Iterator[tuple[bytes, ...]]:
    for position, call in enumerate(message.tool_calls or ()):
        if of_call(call, message, position) is None:
            yield call_keys(call, keyring)
    for image in message.images or ():
        if image.image_url is not None:
            yield keyring.image(image.image_url.url.rpartition(",")[2])


def call_keys(call: CallIn, keyring: SignatureKeys) -> tuple[bytes, ...]:
    """The keys of a call in the history, or none for one without a name."""
    call_id = split_id(call.id or "")[0]
    if call.function is not None:
        return keyring.call(call_id, call.function.name, arguments_text(call.function.arguments))
    if call.custom is not None:
        return keyring.call(call_id, call.custom.name, custom_arguments(call.custom.input))
    return ()


def arguments_text(arguments: object) -> str:
    """Arguments as a text, also from clients that send the object itself."""
    if isinstance(arguments, str):
        return arguments
    return msgspec.json.encode(arguments or {}).decode()


def custom_arguments(text: str) -> str:
    """A custom tool's input as the arguments of the function it is upstream (translation.md A.4.3)."""
    return msgspec.json.encode({"input": text}).decode()


def _canonical(arguments: str) -> str:
    """The same for every order of keys and every spacing."""
    try:
        return msgspec.json.encode(msgspec.json.decode(arguments or "{}"), order="deterministic").decode()
    except (msgspec.DecodeError, RecursionError):
        return arguments


def as_raw(text: str) -> Raw:
    """A JSON text to be sent as it is."""
    return Raw(text.encode())
