"""Ephemeral tokens of the Live API (https://ai.google.dev/gemini-api/docs/ephemeral-tokens).

`auth_tokens` takes the fields of google-genai's `auth_tokens.create`, and answers with a name, which is the token. It
opens sessions of the Live API, as often and as long as its fields say.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

from aiohttp import web

from gateway.emulator.errors import RefusedError, key_refusal
from gateway.emulator.messages import decode
from gateway.emulator.objects import Objects
from gateway.emulator.rest import VERSION, decoded, key_of, refused, reply

_LONGEST = 20 * 3600.0
"""Seconds that a token may last."""
_USUAL = 1800.0
"""Seconds that a token lasts unless it says otherwise."""
_TO_BEGIN = 60.0
"""Seconds in which a session must begin unless the token says otherwise."""


class TokensApi:
    """The method `auth_tokens.create`, and the use of tokens. `now` is the time in Unix seconds."""

    def __init__(self, objects: Objects, now: Callable[[], float]) -> None:
        self._objects = objects
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        return [web.post(VERSION + "/auth_tokens", self.create)]

    async def create(self, request: web.Request) -> web.Response:
        """Answer with the name of a new token."""
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        try:
            token = decode(decoded(await request.read()), "AuthToken")
            fields = self._checked(token)
        except RefusedError as error:
            return refused(error.refusal)
        name = f"auth_tokens/{uuid4().hex}"
        self._objects.add(key_of(request), name, fields)
        return reply({"name": name})

    def use(self, name: str) -> dict[str, Any] | None:
        """Return the setup that a token fixes, and count the use; None for a token that cannot be used."""
        owner = self._objects.owner(name)
        token = (
            self._objects.get(owner, name) if owner is not None and name.startswith("auth_tokens/") else None
        )
        if token is None or token["uses"] == 0 or self._now() > token["begins_until"]:
            return None
        token["uses"] -= 1
        setup: dict[str, Any] = token["setup"]
        return setup

    def _checked(self, token: dict[str, Any]) -> dict[str, Any]:
        now, uses = self._now(), token.get("uses", 1)
        if uses < 0:
            raise RefusedError("* AuthToken.uses: must not be negative.")
        expires = _seconds(token, "expireTime", now + _USUAL)
        begins_until = _seconds(token, "newSessionExpireTime", now + _TO_BEGIN)
        if expires > now + _LONGEST or begins_until > now + _LONGEST:
            raise RefusedError("* AuthToken.expire_time: must be less than 20 hours in the future.")
        setup = token.get("bidiGenerateContentSetup") or {}
        # 0 stands for any number of sessions
        return {"uses": uses or -1, "begins_until": min(expires, begins_until), "setup": setup}


def _seconds(token: dict[str, Any], name: str, default: float) -> float:
    """Return a timestamp as Unix seconds. Raises RefusedError for one that is none."""
    if name not in token:
        return default
    try:
        return datetime.fromisoformat(token[name]).timestamp()
    except ValueError:
        text = f"Invalid value at '{name}' (type.googleapis.com/google.protobuf.Timestamp), \"{token[name]}\""
        raise RefusedError(text) from None
