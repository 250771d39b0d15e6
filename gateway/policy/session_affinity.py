"""Session affinity: calls with the same beginning stay on one project.

Gemini's implicit caching reuses a common prefix within a project
(https://ai.google.dev/gemini-api/docs/caching#implicit-caching).
"""

import hashlib

import msgspec

from gateway.gemini.call import GeminiCall
from gateway.policy.access import Client

_encode = msgspec.json.Encoder().encode


def affinity(call: GeminiCall, client: Client) -> bytes:
    """Return a digest of the client, the model, and the client's cache key or else the beginning of the request.

    The beginning is the system instruction, the tools and the first content: later turns do not change it.
    """
    request = call.request
    digest = hashlib.sha256(f"{client.id}\0{call.cache_key}\0{call.model}\0".encode())
    if not call.cache_key:
        digest.update(_encode((request.system_instruction, request.tools, request.contents[:1])))
    return digest.digest()[:16]
