"""`POST /v1/translate`: show the Gemini request for a chat request, or decode a Gemini answer, without calling Gemini.

Off by default. `gateway translate FILE` does the same without a server.
"""

import msgspec
from aiohttp import web

from gateway.errors import BadRequest
from gateway.exchange.incoming.request_body import Body, read_body
from gateway.exchange.replies.delivery import json_response
from gateway.plugin import Plugin, Services
from gateway.policy.clients.access import Client

_ANSWER_FIELDS = ("candidates", "promptFeedback", "usageMetadata")
"""Fields that identify a Gemini answer (https://ai.google.dev/api/generate-content#generatecontentresponse)."""
_SURFACE = "chat"
"""The plugin that translates."""


class Translate(Plugin):
    """Dry run of the `chat` plugin in both directions."""

    def check(self) -> None:
        """Raise ValueError if the `chat` plugin is not active."""
        if _SURFACE not in self.services.config.plugins:
            raise ValueError(f"it needs the plugin {_SURFACE!r}, which `plugins` does not name")

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/translate", self.translate)]

    async def translate(self, request: web.Request) -> web.Response:
        """Answer with Gemini's URL and body for a chat request, or with the completion for a Gemini answer."""
        client = (await self.services.identified(request)).client
        return json_response(await preview(await read_body(request), client, self.services), {})


async def preview(body: Body, client: Client, services: Services) -> bytes:
    """Return JSON: the request for Gemini, or the chat completion. Raises BadRequest for any other body."""
    surface = services.plugins.get(_SURFACE)
    if surface is None:
        raise BadRequest(f"The plugin `{_SURFACE}` is not active: enable it under `plugins`.")
    if "messages" in body.fields:
        return await _request(surface, body, client, services)
    if any(name in body.fields for name in _ANSWER_FIELDS):
        completion = surface.render(body.data)
        assert completion is not None  # noqa: S101 - `chat` implements both methods
        return completion
    raise BadRequest(
        "Expected a chat request (`messages`) or a Gemini answer (`candidates`).", param="messages"
    )


async def _request(surface: Plugin, body: Body, client: Client, services: Services) -> bytes:
    """Return JSON: url, model, notes and body; with `n`, also the bodies of all choices."""
    run = await surface.dry_run(body, client)
    assert run is not None  # noqa: S101
    upstream = services.config.upstream
    result = {
        "url": f"{upstream.base_url.rstrip('/')}/{upstream.api_version}/{run.path}",
        "model": run.model,
        "notes": run.notes,
        "body": run.bodies[0],
    }
    if len(run.bodies) > 1:
        result["bodies"] = run.bodies
    return msgspec.json.encode(result)
