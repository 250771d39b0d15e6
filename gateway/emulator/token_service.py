"""Google's token service: an access token for the assertion that a service account has signed.

See https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests. The signature is not
checked: the emulator has no account's public key.
"""

import base64
import re
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web

from gateway.emulator.rest import decoded, reply

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LONGEST, _SKEW = 3600, 300
"""Seconds that an assertion may last, and by which its clock may be off."""
_BAD = re.compile(r"bad|invalid", re.I)
_NOT_SHORT = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp "
    "values in the JWT claim."
)


class TokenService:
    """Tokens that were given out. `now` is the time in Unix seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ends: dict[str, float] = {}
        self.life = 3599.0
        """Seconds for which a new token is valid, as the answer says it."""
        self.early = 0.0
        """Seconds by which it ends earlier than that."""
        self.asked = 0
        """Requests that have arrived."""
        self.status = 200
        """Status of every answer, where it is another than 200: the service is out of order."""

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/token", self.give)]

    def is_valid(self, token: str) -> bool:
        """Return whether a token was given out and has not ended."""
        return self._ends.get(token, 0.0) > self._now()

    def revoke(self) -> None:
        """End all tokens."""
        self._ends.clear()

    async def give(self, request: web.Request) -> web.Response:
        """Answer with a new token, or refuse the assertion."""
        self.asked += 1
        if self.status != 200:
            return reply({"error": "internal_failure"}, self.status)
        form = await request.post()
        claims = _claims(str(form.get("assertion", "")))
        if form.get("grant_type") != _GRANT or not claims:
            return _refused("Invalid assertion.")
        if _BAD.search(str(claims.get("iss"))):
            return _refused("Invalid grant: account not found")
        begins, ends = claims.get("iat", 0), claims.get("exp", 0)
        if ends - begins > _LONGEST or not begins - _SKEW <= self._now() <= ends + _SKEW:
            return _refused(_NOT_SHORT)
        token = f"ya29.{secrets.token_hex(24)}"
        self._ends[token] = self._now() + self.life - self.early
        return reply({"access_token": token, "expires_in": int(self.life), "token_type": "Bearer"})


def _claims(assertion: str) -> dict[str, Any]:
    parts = assertion.split(".")
    if len(parts) != 3:
        return {}
    try:
        return decoded(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}


def _refused(description: str) -> web.Response:
    return reply({"error": "invalid_grant", "error_description": description}, 400)
