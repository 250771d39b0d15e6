"""`GET /admin/models`: names that clients may ask for, what each becomes, can do and costs, beside Google's list."""

from time import monotonic, time
from typing import Any, Literal, cast

from aiohttp import web
from msgspec import Struct
from yarl import URL

from gateway.config.model_table import age, model_table
from gateway.console.endpoint import Endpoint, Query
from gateway.console.rows import encoded
from gateway.console.sources import Sources
from gateway.errors import GatewayError, NotFound
from gateway.exchange.replies.delivery import json_response
from gateway.gemini.resources import decode_page
from gateway.plugin import Services
from gateway.policy.models.catalog import Catalog

Kind = Literal[
    "default",
    "embeddings",
    "image",
    "speech",
    "transcription",
    "live",
    "video",
    "alias",
    "successor",
    "called",
]
_MOST = 500
_MAX_PAGES = 10


class Shown(Struct, frozen=True):
    """Abilities of a model that people look for."""

    output: tuple[str, ...]
    thinking: str
    levels: tuple[str, ...]
    output_tokens: int | None
    functions: bool
    search: bool
    json_mode: bool


class Models:
    """Lists models."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        query = (Query("google", "`1` asks Google's list with a key of the pool"),)
        return [
            Endpoint(
                "GET", "/admin/models", self.all, "List models: aliases, abilities, prices, calls.", query
            )
        ]

    async def all(self, request: web.Request) -> web.Response:
        """Answer with the models. Raises NotFound without a pool, and errors of Google's, when its list is asked."""
        services, now = self._sources.services, time()
        names = _names(services)
        google = await self._google(services) if request.query.get("google") == "1" else None
        prices = services.exchange.accounting.prices
        used = _last_uses(services)
        body = {
            "data": [_entry(services, used, name, kind, now) for name, kind in list(names.items())[:_MOST]],
            "date": str(model_table().date),
            "age_days": age(now),
            "google": None
            if google is None
            else [
                {"name": name, "known": prices.is_known(prices.successors.of(name, now))} for name in google
            ],
        }
        return json_response(encoded(body), {})

    async def _google(self, services: Services) -> tuple[str, ...]:
        """Return the names of Google's list, by the first project whose key it accepts."""
        error: GatewayError | None = None
        for project in services.config.pool.projects:
            if project.vertex is not None:
                continue  # Vertex AI lists no models for keys
            try:
                return await _pages(services, services.exchange.accounting.pool.key(project.name))
            except GatewayError as refusal:
                error = refusal
        raise error or NotFound(
            "This gateway has no project of the Gemini API to ask Google with: set pool.projects.",
            code="no_pool",
        )


async def _pages(services: Services, key: str) -> tuple[str, ...]:
    names: list[str] = []
    query = {"pageSize": "1000"}
    for _ in range(_MAX_PAGES):
        page = decode_page(await services.exchange.ask_free(str(URL("models").with_query(query)), key))
        names += [record.name.removeprefix("models/") for record in page.models]
        if not page.next_page_token:
            break
        query["pageToken"] = page.next_page_token
    return tuple(names)


def _names(services: Services) -> dict[str, Kind]:
    """Return the names of the configuration, and those that clients have asked for since the start."""
    models = services.config.models
    names: dict[str, Kind] = {}
    for setting, name in models.defaults.items():
        names.setdefault(name, cast("Kind", setting))
    for name in models.aliases:
        names.setdefault(name, "alias")
    for name in (*models.successors, *model_table().successors):
        names.setdefault(name, "successor")
    for name in sorted(services.statistics.calls):
        if name and name != "other":
            names.setdefault(name, "called")
    return names


def _last_uses(services: Services) -> dict[str, float]:
    """Return the end of the last request for each model, among the last requests."""
    used: dict[str, float] = {}
    for entry in services.observed.recent.newest_first():
        for name in (entry.record.model, entry.record.requested_model):
            if name:
                used.setdefault(name, entry.at)
    return used


def _entry(services: Services, used: dict[str, float], name: str, kind: Kind, now: float) -> dict[str, Any]:
    """Return one name: the model that it becomes, that answers for it, and what this one can do and costs."""
    accounting = services.exchange.accounting
    catalog = Catalog(services.config.models)
    try:
        model = catalog.resolve(name).model
    except GatewayError:
        model = name
    answering = accounting.prices.successors.of(model, now)
    abilities, price = accounting.capability_table.of(answering), accounting.prices.of(model, now)
    return {
        "name": name,
        "kind": kind,
        "becomes": model,
        "answers": answering,
        "capabilities": Shown(
            abilities.output, abilities.thinking, abilities.levels, abilities.output_tokens, abilities.functions,
            abilities.search, abilities.json_mode,
        ),
        "price": {
            "known": accounting.prices.is_known(answering), "input": price.input,
            "cached": price.input if price.cached is None else price.cached, "output": price.output,
        },
        "fallbacks": list(catalog.fallbacks(model)),
        "refusals": services.exchange.refusals.of_all(model, monotonic()),
        "calls": services.statistics.calls.get(model, 0) if name == model else None,
        "last_used": used.get(name, used.get(model)),
    }  # fmt: skip
