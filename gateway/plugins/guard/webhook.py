"""A service that is asked about texts of prompts and answers."""

from collections.abc import Sequence
from typing import Annotated, Literal

import aiohttp
import msgspec
from msgspec import Meta, Struct

from gateway.config.secret import Secret
from gateway.exchange.context import RequestContext
from gateway.plugins.guard.rules import BOTH, Place


class WebhookOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Options of `plugins.guard.webhook`."""

    url: Annotated[str, Meta(pattern="^https?://", description="URL that gets a POST with JSON.")]
    token: Annotated[Secret | None, Meta(description="Sent as `Authorization: Bearer …`.")] = None
    on: Annotated[tuple[Place, ...], Meta(min_length=1, description="Texts that it is asked about.")] = BOTH
    window: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Characters of a streamed answer that are collected for one question; they are held back until "
            "it is answered.",
        ),
    ] = 400


class Verdict(Struct, frozen=True):
    """The service's answer."""

    action: Literal["allow", "refuse", "rewrite"]
    texts: list[str] | None = None
    """With `rewrite`: the texts in place of those that it was asked about."""
    message: str | None = None
    """With `refuse`: a sentence for the client."""


_decode = msgspec.json.Decoder(Verdict).decode


class Webhook:
    """The service, over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, options: WebhookOptions) -> None:
        self._session = session
        self._url = options.url
        token = options.token.reveal() if options.token is not None else ""
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def ask(
        self, place: Place, texts: Sequence[str], model: str, context: RequestContext, *, last: bool = True
    ) -> Verdict:
        """Return what the service says. Raises ValueError or aiohttp.ClientError where it says nothing usable.

        `last` tells whether more of the same text follows.
        """
        question = {
            "place": place, "texts": texts, "last": last, "model": model, "surface": context.surface,
            "request_id": context.request_id, "client": context.client.id or context.client.fingerprint,
        }  # fmt: skip
        async with self._session.post(
            self._url, data=msgspec.json.encode(question),
            headers={"Content-Type": "application/json", **self._headers}, allow_redirects=False,
        ) as response:  # fmt: skip
            if response.status != 200:
                raise ValueError(f"the webhook answered {response.status}")
            try:
                verdict = _decode(await response.read())
            except msgspec.DecodeError as error:
                raise ValueError(f"the webhook's answer is none: {error}") from None
        if verdict.action == "rewrite" and len(verdict.texts or ()) != len(texts):
            raise ValueError("the webhook rewrites another number of texts than it was asked about")
        return verdict
