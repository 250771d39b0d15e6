"""The contract of plugins, and the loader. Built-in endpoint families use this and nothing else.

Installed makes a plugin possible, named in the YAML makes it active, in that order (design.md 2.8). Life cycle:
decode its options, construct (no side effects), check(), routes(), lifespan in, serve, lifespan out.
"""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from time import time
from typing import Any, ClassVar

from aiohttp import web
from msgspec import Struct

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.conversation.translation import Safety
from gateway.errors import ConfigError, Fault, RateLimited
from gateway.exchange.attempt import over
from gateway.exchange.exchange import Exchange
from gateway.exchange.ids import unique
from gateway.gemini.capabilities import CapabilityTable
from gateway.observability.loop_lag import LoopLag
from gateway.observability.request_log import REQUEST_LOG, RequestLog
from gateway.observability.statistics import Statistics
from gateway.policy.access import Access, Client
from gateway.policy.admission import Admission
from gateway.policy.catalog import Catalog, ModelRoute
from gateway.policy.rate_limits import windows
from gateway.store.rate_counters import Counters
from gateway.store.response_cache import HEADER, seconds
from gateway.upstream.media import MediaFetcher

GROUP = "gateway.plugins"
"""The entry point group third parties register under."""

BUILT_IN = {
    "chat": "gateway.plugins.chat.routes:Chat",
    "embeddings": "gateway.plugins.embeddings.routes:Embeddings",
    "models": "gateway.plugins.models.routes:Models",
    "responses": "gateway.plugins.responses.routes:Responses",
    "completions": "gateway.plugins.completions.routes:Completions",
    "messages": "gateway.plugins.messages.routes:Messages",
    "moderations": "gateway.plugins.moderations.routes:Moderations",
    "native": "gateway.plugins.native.routes:Native",
    "health": "gateway.plugins.health:Health",
    "hello": "gateway.plugins.hello:Hello",
    "metrics": "gateway.plugins.metrics:Metrics",
    "translate": "gateway.plugins.dry_run:Translate",
}
"""Resolved without a look at installed metadata, so they work from a checkout."""


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
    lines_dropped: Callable[[], int]
    """Lines that the log has lost."""
    lag: LoopLag

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
    """For plugins that have nothing to configure."""


class Plugin:
    """One family of endpoints. Subclass it, name the class as an entry point, name it in the YAML."""

    Config: ClassVar[type[Struct]] = NoOptions
    """A frozen Struct: the plugin's options, decoded strictly from its section."""

    catch_all: ClassVar[bool] = False
    """Answers what nobody else does: registered last, whatever its place in the file."""

    def __init__(self, config: Any, services: Services) -> None:
        self.config = config
        self.services = services

    def check(self) -> None:
        """Raise ValueError when the options make no sense together."""

    def routes(self) -> Iterable[web.RouteDef]:
        """What this plugin answers. Nobody else may claim the same method and path."""
        return ()

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Set up, `yield` once, tear down."""
        yield


class Loaded(Struct, frozen=True):
    """A plugin in place."""

    name: str
    plugin: Plugin
    routes: tuple[web.RouteDef, ...]


def load_plugins(source: Source, config: GatewayConfig, services: Services) -> list[Loaded]:
    """The plugins the file names, catch-alls last. Raises ConfigError with a place for each fault."""
    loaded: list[Loaded] = []
    faults: list[Fault] = []
    for name in config.plugins:
        try:
            plugin = _load(name, source, services)
            routes = tuple(plugin.routes())
            web.Application().add_routes(routes)  # refuses what is no route, and paths that cannot be
            loaded.append(Loaded(name, plugin, routes))
        except ConfigError as error:
            faults += error.faults
        except ValueError as error:
            faults.append(source.fault(("plugins", name), str(error)))
        except Exception as error:  # noqa: BLE001 - whatever somebody else's code raises
            told = f"plugin {name!r} failed: {type(error).__name__}: {error} ({_place(error)})"
            faults.append(source.fault(("plugins", name), told))
    loaded.sort(key=lambda one: one.plugin.catch_all)
    faults += _clashes(loaded, source)
    if faults:
        raise ConfigError(tuple(faults))
    return loaded


def _load(name: str, source: Source, services: Services) -> Plugin:
    """One plugin, checked. Raises ValueError or ConfigError."""
    cls = _find(name)
    plugin = cls(source.decode(cls.Config, at=("plugins", name)), services)
    plugin.check()
    return plugin


def _place(error: BaseException) -> str:
    """The innermost frame."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _find(name: str) -> type[Plugin]:
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found = getattr(import_module(module), attribute)
    else:
        found = _entry_point(name).load()
    if not (isinstance(found, type) and issubclass(found, Plugin)):
        raise ValueError(  # noqa: TRY004 - a fault of the configuration, which is told with its place
            f"plugin {name!r} is not a subclass of gateway.plugin.Plugin"
        )
    return found


def _entry_point(name: str) -> EntryPoint:
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if name in installed:
        return installed[name]
    known = sorted([*BUILT_IN, *installed])
    close = get_close_matches(name, known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise ValueError(f"no plugin {name!r} is installed{hint} Known: {', '.join(known)}")


def _clashes(loaded: list[Loaded], source: Source) -> Iterable[Fault]:
    """aiohttp would let the first of two equal routes win in silence."""
    owners: dict[tuple[str, str], str] = {}
    for one in loaded:
        for route in one.routes:
            owner = owners.setdefault((route.method, route.path), one.name)
            if owner != one.name:
                message = (
                    f"plugin {one.name!r} claims {route.method} {route.path}, which belongs to {owner!r}"
                )
                yield source.fault(("plugins", one.name), message, key=True)
