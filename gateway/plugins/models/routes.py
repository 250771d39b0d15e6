"""The models a key may use: Google's own list, all pages of it, and the operator's aliases."""

from time import monotonic

from aiohttp import web
from msgspec import Struct
from yarl import URL

from gateway.errors import NotFound
from gateway.exchange.delivery import json_reply
from gateway.gemini import resources as gemini_lists
from gateway.observability.request_log import REQUEST_LOG, RequestLog
from gateway.plugin import Plugin
from gateway.plugins.embeddings import wire as openai_lists
from gateway.plugins.models import response as models
from gateway.policy.access import Client

_MOST_PAGES = 20
_MOST_KEYS = 1000


class Models(Plugin):
    """`GET /v1/models` and `GET /v1/models/{id}`; Anthropic's shape for who says `anthropic-version`."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """How long a list is good."""

        seconds: float = 300.0

    def __init__(self, config: "Models.Config", services: object) -> None:
        super().__init__(config, services)  # type: ignore[arg-type]  # as the loader hands them in
        self._kept: dict[str, tuple[float, list[openai_lists.Model]]] = {}

    def routes(self) -> list[web.RouteDef]:
        """An id may hold slashes: `models/x`, `google/x`."""
        return [
            web.get("/v1/models", self.all),
            web.get("/models", self.all),
            web.get("/v1/models/{id:.+}", self.one),
            web.get("/models/{id:.+}", self.one),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """The whole list; Google's own bytes for Google's own clients, who come with its header."""
        if "x-goog-api-key" in request.headers and "Authorization" not in request.headers:
            return await self._native(request)
        found = await self._listed(request)
        shape = models.anthropic_list if "anthropic-version" in request.headers else models.model_list
        return json_reply(openai_lists.encode(shape(found)), {})

    async def _native(self, request: web.Request) -> web.Response:
        """One page, as Google sent it."""
        record, client = request[REQUEST_LOG], self.services.client(request)
        query = {k: v for k, v in request.rel_url.query.items() if k in ("pageSize", "pageToken")}
        path = str(URL("models").with_query(query)) if query else "models"
        return json_reply(await self.services.exchange.ask(path, None, client, record, bytes), {})

    async def one(self, request: web.Request) -> web.Response:
        """One model, by Google's name or an alias."""
        name = request.match_info["id"]
        for namespace in ("models/", "google/", "gemini/"):
            name = name.removeprefix(namespace)
        for found in await self._listed(request):
            if found.id == name:
                anthropic = "anthropic-version" in request.headers
                shown = models.anthropic_model(found) if anthropic else found
                return json_reply(openai_lists.encode(shown), {})
        raise NotFound(
            f"The model `{name[:80]}` does not exist or you do not have access to it.",
            code="model_not_found",
            param="model",
        )

    async def _listed(self, request: web.Request) -> list[openai_lists.Model]:
        """From memory while it is fresh; a key's list is never another's."""
        record, client = request[REQUEST_LOG], self.services.client(request)
        now = monotonic()
        kept = self._kept.get(client.scope)
        if kept is not None and now - kept[0] < self.config.seconds:
            return kept[1]
        aliases = {**self.services.config.models.aliases, **client.rules.aliases}
        found = models.with_aliases(map(models.model, await self._pages(client, record)), aliases)
        found = [model for model in found if client.rules.allows(aliases.get(model.id, model.id))]
        if len(self._kept) >= _MOST_KEYS:
            self._kept.pop(next(iter(self._kept)))
        self._kept[client.scope] = now, found
        return found

    async def _pages(self, client: Client, record: RequestLog) -> list[gemini_lists.ModelRecord]:
        """Google's pages, of which the first has fifty unless more are asked for (translation.md F.1)."""
        found: list[gemini_lists.ModelRecord] = []
        token = ""
        for _ in range(_MOST_PAGES):
            query = {"pageSize": "1000", **({"pageToken": token} if token else {})}
            path = str(URL("models").with_query(query))
            page = await self.services.exchange.ask(path, None, client, record, gemini_lists.decode_page)
            found += page.models
            token = page.next_page_token or ""
            if not token:
                break
        return found
