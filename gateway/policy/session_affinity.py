"""Which conversation a call belongs to: what begins alike stays on one project, where Gemini has cached it."""

import hashlib

import msgspec

from gateway.gemini.wire import GeminiCall
from gateway.policy.access import Client

_encode = msgspec.json.Encoder().encode


def affinity(call: GeminiCall, client: Client) -> bytes:
    """A digest of the client, the model and the stable prefix: instructions, tools and the first content."""
    request = call.request
    prefix = (request.system_instruction, request.tools, request.contents[:1])
    told = f"{client.id}\0{call.cache_key}\0{call.model}\0".encode()
    return hashlib.sha256(told if call.cache_key else told + _encode(prefix)).digest()[:16]
