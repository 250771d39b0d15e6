"""Session affinity: calls with the same beginning stay on one project.

Gemini's implicit caching reuses a common prefix within a project
(https://ai.google.dev/gemini-api/docs/caching#implicit-caching).
"""

import hashlib

import msgspec

from gateway.gemini.call import GeminiCall
from gateway.policy.clients.access import Client

_encode = msgspec.json.Encoder().encode


def affinity(call: GeminiCall, client: Client) -> bytes:
    """Return a digest of the client, the model, and the client's cache key or else the beginning of the request.

    The beginning is the system instruction, the tools and the first content: later turns do not change it. Files that
    the gateway keeps count alone, because Google has copies of them in the project that was asked before.
    """
    request = call.request
    digest = hashlib.sha256(f"{client.id}\0{call.cache_key}\0{call.model}\0".encode())
    if not call.cache_key:
        beginning = call.files or (request.system_instruction, request.tools, request.contents[:1])
        digest.update(_encode(beginning))
    return digest.digest()[:16]
