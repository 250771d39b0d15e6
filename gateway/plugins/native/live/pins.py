"""Ephemeral tokens and handles of sessions, which exist in one Google project each.

A client with an issued key gets a token of the gateway's in place of Google's: with Google's own it could open sessions
past its budgets, on the operator's project. A token that is not stored any more is refused. What is stored of Google's
is hidden with the token itself, which is not stored.
"""

import hashlib
import re
import secrets
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from multidict import MultiMapping

from gateway.errors import BadRequest, Unauthorized
from gateway.store.key_value import KeyValueStore, StoreLimits

LIMITS = StoreLimits(megabytes=16, hours=24)
"""A token lasts up to 20 hours (https://ai.google.dev/gemini-api/docs/ephemeral-tokens), a handle 2."""
_USUAL = 1800.0
"""Seconds that a token lasts unless it says otherwise."""
TOKENS = "auth_tokens/"
_OWN = "auth_tokens/gw-"
"""Beginning of the gateway's own tokens."""
_TOKEN = re.compile(r"auth_tokens/[!-~]{1,500}")
_QUERY = "access_token"
_NOT_VALID = "The auth token is not valid: it is unknown, has expired, or its API key was revoked."


class Minted(Struct, frozen=True):
    """A token of the gateway's."""

    google: str
    """Google's token."""
    scope: str
    """Id of the issued key that it was made with."""
    project: str
    model: str
    """The only model that it opens sessions of; "" for any that the key may use."""


def token_of(headers: MultiMapping[str], query: MultiMapping[str]) -> str:
    """Return the ephemeral token of a request, "" for none. Raises BadRequest for two different ones.

    Google takes it as `Authorization: Token` and as the parameter `access_token`; its SDKs send it as a key, too.
    """
    scheme, _, credential = headers.get("Authorization", "").partition(" ")
    places = [query.get("key", ""), headers.get("x-goog-api-key", "")]
    tokens = {place for place in places if place.startswith(TOKENS)}
    tokens |= {query[_QUERY]} if query.get(_QUERY) else set()
    tokens |= {credential.strip()} if scheme.lower() == "token" else set()
    if len(tokens) > 1:
        raise BadRequest(
            "Multiple authentication credentials received. Please pass only one.", code="conflicting_api_keys"
        )
    token = tokens.pop() if tokens else ""
    if token and _TOKEN.fullmatch(token) is None:
        raise Unauthorized(_NOT_VALID)
    return token


class Pins:
    """Tokens and handles by client, in a store."""

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    async def mint(self, minted: Minted, until: float, now: float) -> str:
        """Store a token of Google's, and return the gateway's in its place."""
        token = _OWN + secrets.token_urlsafe(32)
        fields = (minted.scope, minted.project, minted.model or "-", _hidden(minted.google, token))
        await self._store.put({_key("token", token): f"{until:.0f} {' '.join(fields)}"}, now)
        return token

    async def minted(self, token: str, now: float) -> Minted | None:
        """Return the record of a token; None for one of Google's. Raises Unauthorized for one that has ended."""
        if not token.startswith(_OWN):
            return None
        key = _key("token", token)
        until, *fields = (await self._store.get([key], now)).get(key, "").split(" ")
        if len(fields) != 4 or float(until) < now:
            raise Unauthorized(_NOT_VALID)
        scope, project, model, hidden = fields
        return Minted(_shown(hidden, token), scope, project, "" if model == "-" else model)

    async def keep(self, scope: str, handle: str, project: str, now: float) -> None:
        """Store the project in which a client's session can go on."""
        await self._store.put({_key(scope, handle): project}, now)

    async def project(self, scope: str, handle: str, now: float) -> str:
        """Return the project of a client's handle, or "" for another's and for one that is not known."""
        key = _key(scope, handle)
        return (await self._store.get([key], now)).get(key, "")


def until_of(expires: str, now: float) -> float:
    """Return the Unix seconds at which a token ends that was asked for until `expires` (RFC 3339)."""
    try:
        return min(datetime.fromisoformat(expires).timestamp(), now + LIMITS.age)
    except ValueError:
        return now + _USUAL


class _Named(Struct):
    name: str


def decode_token(answer: bytes) -> dict[str, Any]:
    """Return the fields of Google's answer, with the name of a token. Raises DecodeError."""
    msgspec.json.decode(answer, type=_Named)
    fields: dict[str, Any] = msgspec.json.decode(answer)
    return fields


def _key(scope: str, name: str) -> bytes:
    return hashlib.blake2b(f"{scope}\0{name}".encode(), digest_size=16, key=b"live").digest()


def _hidden(text: str, secret: str) -> str:
    data = text.encode()
    pad = hashlib.shake_256(f"live\0{secret}".encode()).digest(len(data))
    return bytes(a ^ b for a, b in zip(data, pad, strict=True)).hex()


def _shown(hidden: str, secret: str) -> str:
    data = bytes.fromhex(hidden)
    pad = hashlib.shake_256(f"live\0{secret}".encode()).digest(len(data))
    return bytes(a ^ b for a, b in zip(data, pad, strict=True)).decode()
