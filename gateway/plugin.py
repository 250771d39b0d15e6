"""The contract between the gateway and its plugins; docs/plugins.md explains it with a tested example.

A plugin is installed as an entry point of the group `gateway.plugins` and activated by its name under `plugins` in the
YAML. Life cycle: its options are decoded, the class is constructed (without side effects), `check()` and `routes()` are
called, and `lifespan()` surrounds the time in which it serves.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from time import time
from typing import Any, ClassVar

from aiohttp import web
from msgspec import Struct

from gateway.config.sections import GatewayConfig
from gateway.conversation.translation import Safety
from gateway.errors import RateLimited
from gateway.exchange.attempt import over
from gateway.exchange.delivery import Body
from gateway.exchange.exchange import Exchange
from gateway.exchange.ids import unique
from gateway.gemini.capabilities import CapabilityTable
from gateway.observability.prometheus import MetricSources
from gateway.observability.request_log import REQUEST_LOG, RequestLog
from gateway.observability.statistics import Statistics
from gateway.policy.access import Access, Client
from gateway.policy.admission import Admission
from gateway.policy.catalog import Catalog, ModelRoute
from gateway.policy.rate_limits import windows
from gateway.store.rate_counters import Counters
from gateway.store.response_cache import HEADER, seconds
from gateway.upstream.media import MediaFetcher

KEY_HEADERS: web.RequestKey[Mapping[str, str]] = web.RequestKey("key_headers", Mapping)
"""Where the key of a request is, when not in its headers as they came: Google's own surface takes one in the query."""


KNOWN: web.RequestKey[Client] = web.RequestKey("known", Client)
"""Who asks, where that is known without a key: Google's SDKs send none when they go on with an upload."""


class Services(Struct, frozen=True):
    """What the application lends its plugins."""

    config: GatewayConfig
    catalog: Catalog
    capability_table: CapabilityTable
    safety: Safety
    exchange: Exchange
    media: MediaFetcher
    admission: Admission
    totals: Statistics
    finished: Callable[[RequestLog, int], None]
    """Ends a record of work with a status: it is counted and told in the log."""
    running: set[asyncio.Task[Any]]
    """Work in progress, each in its task: a drain waits for it, and ends what takes too long."""

    access: Access
    counters: Callable[[], Counters]
    """What clients have used; a store that may be replaced at the start."""
    metrics: MetricSources
    """What Prometheus's metrics are read from."""
    draining: Callable[[], bool]
    """Whether the process accepts no new work because it is about to stop."""
    plugins: Mapping[str, "Plugin"]
    """The active plugins by name; filled once all are constructed."""

    def client(self, request: web.Request) -> Client:
        """Who asks. Raises Unauthorized, or BadRequest for two different keys."""
        client = request.get(KNOWN) or self.access.identify(request.get(KEY_HEADERS, request.headers), time())
        record = request[REQUEST_LOG]
        record.client, record.key = client.fingerprint, client.id or None
        return client

    def enter(self, request: web.Request, surface: str) -> "Entry":
        """Let a request in: `async with services.enter(request, "chat") as client`. Raises what keeps it out."""
        return Entry(self, request, surface)

    def route(self, client: Client, requested: str | None, default: str | None = None) -> ModelRoute:
        """The model a name means to this client. Raises BadRequest, Forbidden or NotFound, naming `model`."""
        route = self.catalog.resolve(client.rules.model(requested) if requested else None, default)
        client.rules.check(route.model)
        return route


class Entry:
    """One request's place: who asks is known, and is within the gateway's limits and its own."""

    def __init__(self, services: Services, request: web.Request, surface: str) -> None:
        self._services = services
        self._request = request
        self._record = request[REQUEST_LOG]
        self._record.surface = surface
        self._inside = ""

    async def __aenter__(self) -> Client:
        services = self._services
        services.admission.enter()
        try:
            self._client = client = services.client(self._request)
            given = self._request.headers.get(HEADER)
            if given is not None or client.rules.cache:
                self._record.cache = seconds(given, client.rules.cache, services.config.cache.seconds)
                self._record.cached = "miss" if self._record.cache else "off"
            if client.id:
                await self._limited(client)
        except BaseException:
            await self._leave()
            raise
        return client

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    async def _leave(self) -> None:
        self._services.admission.leave()
        if self._inside:
            await self._services.counters().leave(self._client.id, self._inside)

    async def _limited(self, client: Client) -> None:
        """Within the client's own limits, or RateLimited."""
        counters, rules, now = self._services.counters(), client.rules, time()
        if rules.streams is not None:
            token = unique("in_")
            if not await counters.enter(client.id, rules.streams, token, now):
                raise RateLimited(
                    f"Rate limit reached for this API key: {rules.streams} requests at once.",
                    type="requests",
                    retry_after=1,
                )
            self._inside = token
        limits = windows(rules, "requests")
        if limits:
            taken = await counters.take(client.id, [(window, 1) for window in limits], now)
            self._record.limits += taken.states
            if taken.blocked is not None:
                raise over(taken.blocked, taken.retry_after)


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)


class NoOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Options of a plugin that has none."""


class DryRun(Struct, frozen=True):
    """The Gemini calls that a request would cause."""

    model: str
    path: str
    """Path below the API version, such as `models/gemini-2.5-flash:generateContent`."""
    bodies: list[Any]
    """One request body for each choice, encodable as JSON."""
    notes: list[str]
    """Fields that would not be honoured."""


class Plugin:
    """Base class of plugins: one family of endpoints each."""

    Config: ClassVar[type[Struct]] = NoOptions
    """Frozen Struct into which the plugin's section of the YAML is decoded; unknown keys are errors."""

    catch_all: ClassVar[bool] = False
    """Whether the routes are registered after those of all other plugins, whatever the order in the YAML."""

    name: str = ""
    """The plugin's name in the YAML. Set by the loader after construction."""

    logger: logging.Logger = logging.getLogger("gateway.plugins")
    """Logger `gateway.plugins.<name>`, whose records become lines of the JSON log. Set with `name`."""

    def __init__(self, config: Any, services: Services) -> None:
        self.config = config
        self.services = services

    def check(self) -> None:
        """Raise ValueError if the options contradict each other or something they need is missing."""

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the routes. It is an error if another plugin claims the same method and path."""
        return ()

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Set up, `yield` once, tear down."""
        yield

    async def dry_run(self, body: Body, client: Client) -> DryRun | None:
        """Return what `body` would ask Gemini, without asking. None if the plugin does not translate requests.

        Raises GatewayError as the endpoint would.
        """
        return None

    def render(self, answer: bytes) -> bytes | None:
        """Return the client's response to one Gemini answer. None if the plugin does not translate answers.

        Raises BadRequest if `answer` is not one.
        """
        return None
