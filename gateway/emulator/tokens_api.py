"""Ephemeral tokens of the Live API (https://ai.google.dev/gemini-api/docs/ephemeral-tokens).

`auth_tokens` takes the fields of google-genai's `auth_tokens.create`, and answers with a name, which is the token. It
is of use in the Live API alone, which the emulator does not have.
"""

from uuid import uuid4

from aiohttp import web

from gateway.emulator.errors import RefusedError, key_refusal
from gateway.emulator.messages import decode
from gateway.emulator.rest import VERSION, decoded, refused, reply


class TokensApi:
    """The method `auth_tokens.create`."""

    def routes(self) -> list[web.RouteDef]:
        return [web.post(VERSION + "/auth_tokens", self.create)]

    async def create(self, request: web.Request) -> web.Response:
        """Answer with the name of a new token."""
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        try:
            token = decode(decoded(await request.read()), "AuthToken")
            if token.get("uses", 1) < 0:
                raise RefusedError("* AuthToken.uses: must not be negative.")
        except RefusedError as error:
            return refused(error.refusal)
        return reply({"name": f"auth_tokens/{uuid4().hex}"})
