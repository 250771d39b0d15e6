"""The contract between the gateway and its plugins; docs/plugin-guide.md explains it with tested examples.

A plugin is installed as an entry point of the group `gateway.plugins` and activated by its name under `plugins` in the
YAML. Life cycle: its options are decoded, the class is constructed (without side effects), `check()` and `routes()` are
called, and `lifespan()` surrounds the time in which it serves.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any, ClassVar, Self

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct
from multidict import istr

from gateway.config.sections import GatewayConfig
from gateway.conversation.field_policy import FieldPolicies
from gateway.errors import RateLimited
from gateway.exchange.background_tasks import BackgroundTasks
from gateway.exchange.batches.lines import BatchMethods
from gateway.exchange.calls.accounting import limit_reached
from gateway.exchange.context import CONTEXT, RequestContext
from gateway.exchange.exchange import Exchange
from gateway.exchange.hook_methods import HookMethods
from gateway.exchange.hooks import Hooks
from gateway.exchange.ids import unique
from gateway.exchange.incoming.client_address import client_address
from gateway.exchange.incoming.place import wait_for_place
from gateway.exchange.incoming.request_body import Body, named_model, receive
from gateway.exchange.plugin_services import PluginServices
from gateway.exchange.preparation import Preparation
from gateway.exchange.replies.delivery import ERROR_RENDERER, Delivery, ErrorRenderer
from gateway.exchange.running_tasks import RunningTasks
from gateway.gemini.capabilities import CapabilityTable
from gateway.gemini.wire import SafetySetting
from gateway.observability.observed import Observed
from gateway.observability.prometheus import MetricSources
from gateway.observability.statistics import Statistics
from gateway.policy.api_paths import Family
from gateway.policy.clients.access import Access, Client, RefusedKey, UnknownKey
from gateway.policy.clients.rate_limits import WindowState
from gateway.policy.load.admission import Admission
from gateway.policy.load.memory import MemoryAccount
from gateway.policy.models.catalog import Catalog
from gateway.store.file_owners import FileOwners
from gateway.store.key_value import KeyValueStore, StoreLimits
from gateway.store.memory import MemoryStore
from gateway.store.rate_counters import Counters
from gateway.store.response_cache import HEADER as CACHE_HEADER
from gateway.store.response_cache import seconds
from gateway.upstream.media import MediaFetcher

if TYPE_CHECKING:
    from gateway.observability.tracing import Tracing

KEY_HEADERS: web.RequestKey[Mapping[str, str]] = web.RequestKey("key_headers", Mapping)
"""Set by surfaces that take a key from elsewhere than the headers: Google's API allows it in the query."""

KNOWN_CLIENT: web.RequestKey[Client] = web.RequestKey("known_client", Client)
"""Set where the client is known without a key: Google's SDKs send none when they continue an upload."""


async def no_keys() -> None:
    """Refresh nothing: without a ledger there are no issued keys."""


async def no_report(_: str, __: int) -> dict[str, Any] | None:
    """Return no report: without a ledger there are no issued keys."""
    return None


async def _memory_store(_: str, limits: StoreLimits) -> KeyValueStore:
    """Return a store in memory."""
    return MemoryStore(limits)


class _NotOpen:
    """An attribute of `Services` before `open`. A descriptor, because `__getattr__` would slow down all attributes."""

    def __get__(self, instance: object, _: type) -> Self:
        if instance is None:
            return self
        raise RuntimeError("this service can be used from a plugin's lifespan on, not before")


_NOT_OPEN: Any = _NotOpen()
_CACHE = istr(CACHE_HEADER)
"""Another text is made lower-case for each look-up."""


@dataclass(eq=False)
class Services(PluginServices):
    """Services that the application provides to its plugins; docs/plugin-guide.md lists the public ones.

    Plugins are constructed, and their routes registered, before the stores are open: aiohttp takes no routes after its
    start, and `gateway check` builds the application without opening anything. The application therefore calls `open`
    once, when stores, ledger and sessions are open: before the plugins' lifespans and the first request. Until then
    the attributes that `open` sets raise RuntimeError. Nothing else changes after construction.
    """

    config: GatewayConfig
    catalog: Catalog
    capability_table: CapabilityTable
    safety: Sequence[SafetySetting]
    """The configured thresholds."""
    media: MediaFetcher
    admission: Admission
    memory: MemoryAccount
    """Bytes that requests hold, against `limits.memory`."""
    statistics: Statistics
    finished: Callable[[RequestContext, int], None]
    """Ends a request or background work with a status: it is counted, logged and traced."""
    running: RunningTasks
    """Tasks of work in progress. A drain waits for them, and ends those that take too long."""
    access: Access
    metrics: MetricSources
    """Sources of Prometheus's metrics."""
    draining: Callable[[], bool]
    """Returns whether the process is about to stop and accepts no new work."""
    plugins: Mapping[str, "Plugin"]
    """The active plugins by name; filled once all are constructed."""
    background_tasks: BackgroundTasks
    observed: Observed
    """The last requests, requests by minute, and the log, for the console."""
    hooks: Hooks | None = field(init=False, default=None)
    """Hooks of the plugins; None if no plugin has any."""
    exchange: Exchange = field(init=False, default=_NOT_OPEN)
    """Calls of Gemini."""
    preparation: Preparation = field(init=False, default=_NOT_OPEN)
    """Turns conversations into calls of Gemini."""
    delivery: Delivery = field(init=False, default=_NOT_OPEN)
    """Delivery of generated answers, whole or streamed."""
    counters: Counters = field(init=False, default=_NOT_OPEN)
    """Clients' use of their limits."""
    tracing: "Tracing | None" = field(init=False, default=_NOT_OPEN)
    """Exports traces, where the environment asks for them."""
    refresh_keys: Callable[[], Awaitable[None]] = field(init=False, default=_NOT_OPEN)
    """Load the issued keys, after a change of them by this process."""
    key_report: Callable[[str, int], Awaitable[dict[str, Any] | None]] = field(init=False, default=_NOT_OPEN)
    """Return the rules, budgets and use of an issued key, by its id and for so many days; None without a ledger."""
    look_up_keys: Callable[[], Awaitable[None]] = field(init=False, default=_NOT_OPEN)
    """Load keys that were issued a moment ago, by another process. It is limited, because strangers can ask for it."""
    file_owners: FileOwners = field(init=False, default=_NOT_OPEN)
    """The Google project of each client's files and cached contents."""
    stored_responses: KeyValueStore = field(init=False, default=_NOT_OPEN)
    """Responses that `previous_response_id` can name."""
    open_store: Callable[[str, StoreLimits], Awaitable[KeyValueStore]] = field(init=False, default=_NOT_OPEN)
    """Open a key-value store for a plugin, in Redis, SQLite or memory as `state` says.

    Call it in `lifespan`, with the plugin's name. The application closes the store. A store in memory is empty after a
    restart and after a reload.
    """

    def open(
        self,
        exchange: Exchange,
        tracing: "Tracing | None" = None,
        refresh_keys: Callable[[], Awaitable[None]] = no_keys,
        open_store: Callable[[str, StoreLimits], Awaitable[KeyValueStore]] = _memory_store,
        key_report: Callable[[str, int], Awaitable[dict[str, Any] | None]] = no_report,
        look_up_keys: Callable[[], Awaitable[None]] = no_keys,
    ) -> None:
        """Bind what has been opened."""
        self.look_up_keys = look_up_keys
        self.exchange, self.tracing, self.refresh_keys = exchange, tracing, refresh_keys
        self.open_store, self.key_report = open_store, key_report
        self.file_owners, self.stored_responses = exchange.stores.file_owners, exchange.stores.responses
        self.preparation = Preparation(
            exchange,
            self.catalog,
            self.capability_table,
            self.safety,
            self.media,
            self.config.limits.choices,
        )
        self.delivery = Delivery(exchange, self.config.stream)
        self.counters = exchange.accounting.counters

    @property
    def strict(self) -> bool:
        """Whether a field that would change the answer is refused instead of noted (`compat: strict`)."""
        return self.config.compat == "strict"

    def spawn(
        self, work: Coroutine[Any, Any, None], name: str, client: Client | None = None
    ) -> asyncio.Task[None]:
        """Run work in the background. A drain waits for it, and cancels what takes too long. A failure is logged.

        Work for a client with an issued key is cancelled when the key is revoked or expires.
        """
        task = asyncio.create_task(work, name=name)
        if client is not None and client.id:
            self.access.begin(client, task)
            task.add_done_callback(partial(self.access.end, client))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        task.add_done_callback(_log_failure)
        return task

    def holder(self, key_id: str) -> Client:
        """Return the client of an issued key. Raises Unauthorized if the key is revoked or expired."""
        return self.access.holder(key_id, time())

    def identify(self, request: web.Request, surface: str = "") -> RequestContext:
        """Return the request's context with its client. Raises Unauthorized, or BadRequest for two different keys."""
        context = request[CONTEXT]
        context.surface = surface  # for the log line, also of a request that is refused
        known = request.get(KNOWN_CLIENT)
        try:
            context.client = known or self.access.identify(request.get(KEY_HEADERS, request.headers), time())
        except RefusedKey as error:
            context.client = error.client
            raise
        return context

    async def identified(self, request: web.Request, surface: str = "") -> RequestContext:
        """Return what `identify` does, also for a key that another process has issued a moment ago."""
        try:
            return self.identify(request, surface)
        except UnknownKey:
            await self.look_up_keys()
            return self.identify(request, surface)

    def enter(
        self,
        request: web.Request,
        surface: str,
        errors: ErrorRenderer | None = None,
        *,
        reads_body: bool = True,
    ) -> "Entry":
        """Admit a request: `async with services.enter(request, "chat") as context`.

        `errors` writes errors in the surface's format; OpenAI's without it. Entering waits for the body, so that a
        client that sends it slowly holds no place. Then `read_body` and `request.read` return it, and `request.content`
        is empty. With `reads_body=False` nothing waits: for handlers that read `request.content`, or no body at all.
        Entering raises GatewayError for a client that is unknown, a body that does not arrive, or a limit that is
        reached.
        """
        context = request[CONTEXT]
        context.surface = surface
        if errors is not None:
            request[ERROR_RENDERER] = errors
        return Entry(self, request, context, reads_body)

    async def limits_left(self, client: Client) -> Sequence[WindowState]:
        """Return what is left of the limits of an issued key per minute and per day, without taking anything."""
        limits = client.rules.request_limits + client.rules.token_limits
        if not limits:
            return ()
        return (await self.counters.take(client.id, limits, 0, time())).states


def _log_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logging.getLogger("gateway.plugins").error("task %s failed", task.get_name(), exc_info=error)


class Entry(Struct, eq=False):
    """One request's admission: its client is known and within its own limits and the gateway's."""

    _services: Services
    _request: web.Request
    _context: RequestContext
    _reads_body: bool
    _has_place: bool = False
    _token: str = ""
    """Names the request among the client's concurrent ones."""
    _task: asyncio.Task[Any] | None = None
    """Set for an issued key, with which it ends."""

    async def __aenter__(self) -> RequestContext:
        services, request, context = self._services, self._request, self._context
        try:
            services.identify(request, context.surface)
        except UnknownKey:
            await services.look_up_keys()
            services.identify(request, context.surface)
        client = context.client
        try:
            context.memory.owner = client.id or client_address(request)
            header = request.headers.get(_CACHE)
            if header is not None or client.rules.cache:
                context.cache = seconds(header, client.rules.cache, services.config.cache.seconds)
                context.report.cached = "miss" if context.cache else "off"
            if client.id:
                # Without the loop, Python 3.11 would ask the system for the process's id.
                self._task = asyncio.current_task(request._loop)  # noqa: SLF001
                if self._task is not None:
                    services.access.begin(client, self._task)
            if self._reads_body and not request.content.is_eof():
                services.admission.check()
                await receive(request)
            if not services.admission.try_enter():
                await wait_for_place(services.admission)
            self._has_place = True
            if client.id:
                try:
                    await self._take_limits(client)
                except RateLimited:
                    if self._reads_body:
                        context.report.requested_model = await named_model(request)
                    raise
        except BaseException:
            await self.__aexit__()
            raise
        return context

    def hand_over(self) -> Callable[[], Awaitable[None]]:
        """Keep the client's place for work that goes on after the request. Return what gives the place back.

        If the client's key is revoked, that work is cut instead of the request, which sees it end.
        """
        self._end_work()
        token, self._token = self._token, ""
        return partial(self._give_back, token)

    async def __aexit__(self, *_: object) -> None:
        if self._has_place:
            self._services.admission.leave()
        if self._task is not None:
            self._end_work()
        if self._token:
            await self._give_back(self._token)

    def _end_work(self) -> None:
        if self._task is not None:
            self._services.access.end(self._context.client, self._task)
            self._task = None

    async def _give_back(self, token: str) -> None:
        if token:
            await self._services.counters.leave(self._context.client.id, token)

    async def _take_limits(self, client: Client) -> None:
        """Count the request against the client's own limits. Raises RateLimited."""
        counters, rules, now = self._services.counters, client.rules, time()
        if rules.streams is not None:
            token = unique("in_")
            if not await counters.enter(client.id, rules.streams, token, now):
                error = RateLimited(
                    f"Rate limit reached for this API key: {rules.streams} requests at once.",
                    type="requests",
                    retry_after=1,
                )
                error.refused_by = f"streams {rules.streams}/{rules.streams}"
                raise error
            self._token = token
        if limits := rules.request_limits:
            local = counters.local
            taken = (
                local.take_now(client.id, limits, 1, now)
                if local is not None
                else await counters.take(client.id, limits, 1, now)
            )
            self._context.report.limits += taken.states
            if taken.blocked is not None:
                raise limit_reached(taken.blocked, taken)


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


class Plugin(HookMethods, BatchMethods):
    """Base class of plugins: a family of endpoints, hooks in the requests' way, or both."""

    Config: ClassVar[type[Struct]] = NoOptions
    """Frozen Struct into which the plugin's section of the YAML is decoded; unknown keys are errors."""

    fields: ClassVar[FieldPolicies] = {}
    """Policy of each request field by endpoint (`POST /v1/chat/completions`); docs/refer/compatibility.md lists it."""

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

    def error_formats(self) -> Mapping[Family, ErrorRenderer]:
        """Return the writers of errors on paths that nothing serves, by API family."""
        return {}

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Set up, `yield` once, tear down."""
        yield

    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle every request of the gateway, whichever plugin serves it; `await handler(request)` continues.

        Override it to refuse requests (raise GatewayError), to change headers of the response, or to measure. Plugins
        that override it are called in the order of the YAML, the first outermost.
        """
        return await handler(request)

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
