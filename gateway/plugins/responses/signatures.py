"""Thought signatures in reasoning items.

OpenAI's `encrypted_content` carries reasoning between requests without a store. The gateway puts Gemini's thought
signature there, for the item that follows (https://ai.google.dev/gemini-api/docs/thought-signatures).
"""

import base64
import binascii

import msgspec

_PREFIX = "gsig1:"
"""Tells the gateway's content from OpenAI's own."""


def seal(signature: str, call_id: str) -> str:
    """Return a signature as `encrypted_content`."""
    content = msgspec.json.encode({"sig": signature, "call_id": call_id})
    return _PREFIX + base64.b64encode(content).decode()


def unseal(content: str) -> str | None:
    """Return the signature of an `encrypted_content`, or None for one that the gateway did not write."""
    if not content.startswith(_PREFIX):
        return None
    try:
        value = msgspec.json.decode(base64.b64decode(content.removeprefix(_PREFIX), validate=True))
    except (binascii.Error, msgspec.DecodeError, ValueError):
        return None
    signature = value.get("sig") if isinstance(value, dict) else None
    return signature if isinstance(signature, str) else None
