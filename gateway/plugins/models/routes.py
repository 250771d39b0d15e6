"""OpenAI's and Anthropic's model lists: Google's models that the key may use, and the operator's aliases."""

from time import monotonic
from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta, Struct
from yarl import URL

from gateway.errors import NotFound
from gateway.exchange.context import RequestContext
from gateway.exchange.replies.delivery import json_response
from gateway.exchange.replies.unserved import ERROR_FORMATS, family
from gateway.gemini.resources import ModelRecord, decode_page
from gateway.plugin import Entry, Plugin, Services
from gateway.plugins.models.response import anthropic_model, model, model_list, with_aliases
from gateway.plugins.models.wire import Model, encode

_MAX_PAGES = 20
_MAX_CACHED_KEYS = 1000
_PAGE_SIZE = "1000"
"""Google's maximum; its default is 50 (https://ai.google.dev/api/models#method:-models.list)."""


class Models(Plugin):
    """`GET /v1/models` and `GET /v1/models/{id}`, in OpenAI's format or Anthropic's. Google's list is `native`'s."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.models`."""

        seconds: Annotated[float, Meta(description="Seconds for which a key's model list is cached.")] = 300.0

    def __init__(self, config: Any, services: Services) -> None:
        super().__init__(config, services)
        self._cache: dict[str, tuple[float, list[Model]]] = {}
        """Time and list by the client's scope: one key's list is never shown to another."""

    def routes(self) -> list[web.RouteDef]:
        """Return the list and the lookup. An id may contain slashes, as in `models/x` or `google/x`."""
        return [
            web.get("/v1/models", self.list_models),
            web.get("/v1/models/{id:.+}", self.show_model),
        ]

    async def list_models(self, request: web.Request) -> web.Response:
        """Answer with the whole list."""
        async with self._enter(request) as context:
            models = await self._models(context)
        return json_response(encode(model_list(models, anthropic=family(request) == "anthropic")), {})

    async def show_model(self, request: web.Request) -> web.Response:
        """Answer with one model by Google's id or an alias. Raises NotFound."""
        name = request.match_info["id"]
        for namespace in ("models/", "google/", "gemini/"):
            name = name.removeprefix(namespace)
        async with self._enter(request) as context:
            models = await self._models(context)
        for entry in models:
            if entry.id == name:
                shown = anthropic_model(entry) if family(request) == "anthropic" else entry
                return json_response(encode(shown), {})
        raise NotFound(
            f"The model `{name[:80]}` does not exist or you do not have access to it.",
            code="model_not_found",
            param="model",
        )

    def _enter(self, request: web.Request) -> Entry:
        errors = request.app[ERROR_FORMATS].get(family(request))
        return self.services.enter(request, "models", errors, reads_body=False)

    async def _models(self, context: RequestContext) -> list[Model]:
        """Return the models this client may use, from the cache while the entry is fresh."""
        client = context.client
        now = monotonic()
        cached = self._cache.get(client.scope)
        if cached is not None and now - cached[0] < self.config.seconds:
            return cached[1]
        aliases = {**self.services.config.models.aliases, **client.rules.aliases}
        models = with_aliases(map(model, await self._records(context)), aliases)
        models = [entry for entry in models if client.rules.allows(aliases.get(entry.id, entry.id))]
        if len(self._cache) >= _MAX_CACHED_KEYS:
            self._cache.pop(next(iter(self._cache)))
        self._cache[client.scope] = now, models
        return models

    async def _records(self, context: RequestContext) -> list[ModelRecord]:
        """Fetch all pages of Google's list. Vertex AI has none: where all projects are there, take the known names."""
        kinds = self.services.exchange.accounting.pool.kinds
        if context.client.id and kinds and "gemini" not in kinds.values():
            return [ModelRecord(name=f"models/{name}") for name in _known_names(self.services)]
        records: list[ModelRecord] = []
        token = ""
        for _ in range(_MAX_PAGES):
            query = {"pageSize": _PAGE_SIZE, **({"pageToken": token} if token else {})}
            path = str(URL("models").with_query(query))
            page = await self.services.exchange.ask(path, None, context, decode_page)
            records += page.models
            token = page.next_page_token or ""
            if not token:
                break
        return records


def _known_names(services: Services) -> list[str]:
    """Return the models that the configuration names: those that projects serve, and the defaults."""
    patterns = [pattern for project in services.config.pool.projects for pattern in project.models]
    names = {pattern for pattern in patterns if not set(pattern) & set("*?[")}
    return sorted(names | set(services.config.models.defaults.values()))
