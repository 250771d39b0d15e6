"""The aiohttp application: services, plugins, middleware, CORS. Plugins are imported by name only."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, time
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.config.capabilities import capability_table
from gateway.config.consistency import contradictions
from gateway.config.key_pool import key_pool
from gateway.config.load import folder_of
from gateway.config.prices import prices, successors
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.exchange.background_tasks import BackgroundTasks
from gateway.exchange.calls.accounting import CallAccounting, LedgerWriter
from gateway.exchange.calls.hedging import Hedging
from gateway.exchange.calls.recovery import Recovery
from gateway.exchange.context import RequestContext
from gateway.exchange.exchange import Exchange
from gateway.exchange.replies.unserved import API_PATHS, ERROR_FORMATS
from gateway.gemini.capabilities import CapabilityTable
from gateway.gemini.wire import SafetySetting
from gateway.observability.budget_readings import BudgetReadings
from gateway.observability.json_log import JsonLog, captured_logging, shortened
from gateway.observability.loop_lag import LoopLag
from gateway.observability.minutes import Minutes
from gateway.observability.observed import Observed
from gateway.observability.open_tracing import open_tracing
from gateway.observability.prometheus import MetricSources
from gateway.observability.recent import RecentRequests
from gateway.observability.statistics import Statistics
from gateway.plugin import SERVICES, Plugin, Services, no_keys, no_report
from gateway.policy.api_paths import ApiPaths
from gateway.policy.clients.access import Access
from gateway.policy.hedging import Hedge
from gateway.policy.load.admission import Admission
from gateway.policy.load.memory import MemoryAccount
from gateway.policy.load.overload import Overload
from gateway.policy.models.catalog import Catalog
from gateway.policy.models.successors import Successors
from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import ADVICE, PUT_BACK, PoolUpdate
from gateway.server.connection.overload import watched_memory
from gateway.server.connection.response_headers import ResponseHeaders
from gateway.server.cors import Cors
from gateway.server.issued_keys import IssuedKeys
from gateway.server.middleware import RequestMiddleware
from gateway.server.plugin_life import lifespan_of, tasks_of, try_lifespans
from gateway.server.plugin_loader import Loaded, installed_hooks, load_plugins
from gateway.server.pool_state import PoolState
from gateway.server.process.allocator import trimming
from gateway.server.process.lifecycle import DRAIN, Drain
from gateway.server.stores import open_ledger, open_redis, open_stores, plugin_store
from gateway.store.key_value import KeyValueStore, StoreLimits
from gateway.store.rate_counters import Counters, MemoryCounters
from gateway.store.state_folder import state_path
from gateway.store.state_stores import StateStores
from gateway.upstream.client import GeminiClient
from gateway.upstream.media import MediaFetcher

if TYPE_CHECKING:
    from gateway.observability.tracing import Tracing

PLUGINS: web.AppKey[list[Loaded]] = web.AppKey("plugins", list)


def build_app(config: GatewayConfig, source: Source, before: Services | None = None) -> web.Application:
    """Return the application for a configuration. Raises ConfigError with the places of faults in `source`.

    At a reload, `before` are the services in use: their statistics continue, and so does what is only in memory.
    """
    log, drain, cors = JsonLog(), Drain(), Cors(config.cors)
    active: dict[str, Plugin] = {}
    services = _services(config, source, before, log, drain, active)
    headers = ResponseHeaders(drain, services.metrics.overload, cors)
    middleware = RequestMiddleware(log, services, cors, headers)
    app = web.Application(middlewares=[middleware], client_max_size=config.limits.body)
    app[SERVICES], app[DRAIN] = services, drain
    app[PLUGINS] = load_plugins(source, config, services)
    active.update((entry.name, entry.plugin) for entry in app[PLUGINS])
    app[API_PATHS] = ApiPaths(route.path for entry in app[PLUGINS] for route in entry.routes)
    app[ERROR_FORMATS] = {k: v for entry in app[PLUGINS] for k, v in entry.error_formats.items()}
    app.middlewares.extend(
        _hook(plugin) for plugin in active.values() if type(plugin).around is not Plugin.around
    )
    services.hooks = installed_hooks([active[name] for name in config.plugins], services)
    app.cleanup_ctx.append(_open(log, services, source, before))
    _add_routes(app, app[PLUGINS], cors)
    app.cleanup_ctx.append(tasks_of(services))
    headers.add_to(app)
    return app


def _hook(plugin: Plugin) -> Middleware:
    """Return a plugin's `around` as a middleware."""

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await plugin.around(request, handler)

    return around


def open_in_memory(services: Services) -> None:
    """Open services for work without a server: nothing is stored, and Gemini cannot be asked."""
    config = services.config
    stores, counters = StateStores(config.state, config.cache), MemoryCounters()
    exchange = _exchange(services, GeminiClient(config.upstream, config.pool.projects), stores, counters)
    services.open(exchange)


async def try_plugins(app: web.Application, source: Source) -> None:
    """Start and end each plugin, without a server, stores or calls. Raises ConfigError with those that fail."""
    services = app[SERVICES]
    with TemporaryDirectory(prefix="gateway-check-") as folder:
        services.folders = Path(folder)
        open_in_memory(services)
        plugins: list[Loaded] = app[PLUGINS]
        await try_lifespans(plugins, app, source)


def _services(
    config: GatewayConfig,
    source: Source,
    before: Services | None,
    log: JsonLog,
    drain: Drain,
    active: dict[str, Plugin],
) -> Services:
    """Build what the plugins share, without opening anything."""
    statistics = before.statistics if before is not None else Statistics()
    recent = before.observed.recent if before is not None else RecentRequests()
    minutes = before.observed.minutes if before is not None else Minutes(statistics)
    table, pool = _checked(config, source, before)
    memory, (admission, overload) = _memory(config, before), _admission(config, before)
    services = Services(
        config=config,
        catalog=Catalog(config.models),
        capability_table=table,
        safety=[SafetySetting(category, threshold) for category, threshold in config.safety.items()],
        media=MediaFetcher(config.media),
        admission=admission,
        memory=memory,
        statistics=statistics,
        finished=_finisher(log, config, statistics, recent, lambda: services.tracing),
        running=drain.tasks,
        access=Access(config.auth, pooled=bool(pool)),
        metrics=MetricSources(
            statistics,
            admission,
            config.limits.streams,
            overload,
            memory,
            pool=pool,
            loop_lag=LoopLag(),
            ledger=lambda: services.exchange.accounting.ledger,
            state_errors=lambda: services.exchange.stores.errors(),
            shared=lambda: services.counters,
            lines_dropped=lambda: log.dropped,
            client_name=lambda key_id: services.access.name(key_id),
            budgets=BudgetReadings(),
        ),
        draining=lambda: drain.draining,
        plugins=active,
        background_tasks=BackgroundTasks(statistics),
        observed=Observed(recent, minutes, log.event),
    )
    services.folders, services.beside = state_path("plugins", os.environ), folder_of(source)
    return services


def _finisher(
    log: JsonLog,
    config: GatewayConfig,
    statistics: Statistics,
    recent: RecentRequests,
    tracing: "Callable[[], Tracing | None]",
) -> Callable[[RequestContext, int], None]:
    """Return a function that counts, logs and traces what has ended with a status, and shows it to hooks."""

    def finished(context: RequestContext, status: int) -> None:
        record = context.log(status)
        statistics.add(record)
        recent.add(log.exchange(record) if config.logging.exchanges else shortened(record))
        if context.hooks is not None:
            context.hooks.end(context, status)
        if context.trace is not None and (traces := tracing()) is not None:
            traces.end(record, context.trace, context.report.calls)

    return finished


def _admission(config: GatewayConfig, before: Services | None) -> tuple[Admission, Overload]:
    """Return the places for requests, and the process's state of overload, which goes on after a reload."""
    limits = config.limits
    admission = Admission(limits.streams, limits.queue, limits.patience, monotonic)
    if before is None:
        return admission, Overload()
    admission.refused = before.admission.refused
    return admission, before.metrics.overload


def _memory(config: GatewayConfig, before: Services | None) -> MemoryAccount:
    """Return the account of the services before a reload, whose requests are still in progress, or a new one."""
    account = before.memory if before is not None else MemoryAccount(0)
    account.limit = config.limits.memory
    return account


def _checked(
    config: GatewayConfig, source: Source, before: Services | None
) -> tuple[CapabilityTable, KeyPool]:
    """Return the capability table, and the key pool with the cooldowns of the one before.

    Raises ConfigError with all faults of valid values.
    """
    faults = contradictions(config, source)
    table, pool = CapabilityTable({}), KeyPool([], config.pool)
    try:
        table = capability_table(config.abilities, source)
    except ConfigError as error:
        faults += error.faults
    try:
        pool = key_pool(config, source)
    except ConfigError as error:
        faults += error.faults
    if faults:
        raise ConfigError(tuple(faults))
    if before is not None:
        _keep_cooldowns(before.metrics.pool, pool)
    return table, pool


def _keep_cooldowns(old: KeyPool, new: KeyPool) -> None:
    """Copy the cooldowns of projects that still exist, and what Google said last."""
    now = time()
    for update in old.changes(now):
        new.apply(update, now)
    new.keep_words(old)


def _open(
    log: JsonLog, services: Services, source: Source, before: Services | None
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Open what lives as long as the application. The log closes last, because the others report to it."""

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(log.close)
            stack.enter_context(captured_logging(log))
            await _open_services(stack, log, services, source, before)
            yield

    return lifetime


async def _open_services(
    stack: AsyncExitStack, log: JsonLog, services: Services, source: Source, before: Services | None
) -> None:
    """Open tracing, stores, ledger and sessions on the stack, and the services with the exchange built on them."""

    def report_team(message: str) -> None:
        log.event("team", message=message)

    def report_state(message: str) -> None:
        log.event("state", message=message)

    config, enter = services.config, stack.enter_async_context
    upstream = GeminiClient(config.upstream, config.pool.projects)
    tracing = await asyncio.to_thread(
        open_tracing, os.environ, lambda message: log.event("traces", message=message)
    )
    if tracing is not None:
        stack.push_async_callback(tracing.close)
    counters, shared_pool = _memory_counters(before), None
    redis = open_redis(config, source, report_team)
    if redis is not None:
        from gateway.store.redis import RedisCounters, RedisPoolUpdates

        await enter(redis)
        counters, shared_pool = RedisCounters(redis, config.state.machines), RedisPoolUpdates(redis)
    stores = await asyncio.to_thread(open_stores, config, source, report_state, redis, before)
    stack.push_async_callback(stores.close)
    ledger = await asyncio.to_thread(open_ledger, config, source, report_team)
    await enter(services.metrics.loop_lag.sampling())
    await enter(services.observed.minutes.sampling())
    await enter(watched_memory(services.metrics.overload, services.memory, lambda: stores.held))
    await enter(trimming(services.memory))
    await enter(upstream)
    await enter(services.media)
    keys = await enter(IssuedKeys(ledger, services.access, report_team)) if ledger is not None else None
    reporter = _pool_reporter(log, services)
    pool = PoolState(services.metrics.pool, stores.pool, shared_pool, report_state, reporter)
    pool_state = await enter(pool)
    known = before.exchange.accounting.prices.successors if before is not None else None
    exchange = _exchange(services, upstream, stores, counters, ledger, _noting(services, pool_state), known)

    async def open_store(name: str, limits: StoreLimits) -> KeyValueStore:
        store = await asyncio.to_thread(plugin_store, config, name, limits, source, report_state, redis)
        stack.push_async_callback(store.close)
        return store

    keyed = (keys.refresh, keys.report, keys.look_up) if keys is not None else (no_keys, no_report, no_keys)
    refresh, report, look_up = keyed
    services.open(exchange, tracing, refresh, open_store, report, look_up)
    services.metrics.budgets.read = keys.budgets if keys is not None else None


def _noting(services: Services, pool: PoolState) -> Callable[[list[PoolUpdate]], None]:
    """Return a function that saves what the pool has learnt, and shows it to the console's viewers."""

    def changed(updates: list[PoolUpdate]) -> None:
        for update in updates:
            services.observed.recent.note("pool", update)
        pool.changed(updates)

    return changed


def _pool_reporter(log: JsonLog, services: Services) -> Callable[[PoolUpdate], None]:
    """Return a function that logs and counts refusals of the pool's keys and projects."""

    def report(update: PoolUpdate) -> None:
        names = {"project": update.project, "key": update.key_id, "reason": update.reason}
        if update.reason == PUT_BACK:
            log.event("pool", **names, message="The operator has put it back: it is used again.")
            return
        services.statistics.refused_keys[update.project, update.key_id, update.reason] += 1
        log.event("pool", **names, until=round(update.until), message=ADVICE[update.reason])

    return report


def _exchange(
    services: Services,
    upstream: GeminiClient,
    stores: StateStores,
    counters: Counters,
    ledger: LedgerWriter | None = None,
    on_pool_update: Callable[[list[PoolUpdate]], None] = lambda _: None,
    known: Successors | None = None,
) -> Exchange:
    """Return the exchange. `known` are the successors until now, at a reload."""
    config, metrics = services.config, services.metrics
    accounting = CallAccounting(
        metrics.pool,
        prices(config.ledger, successors(config.models, known)),
        services.capability_table,
        services.statistics,
        counters,
        ledger,
        on_pool_update,
    )
    recovery = Recovery(config.upstream.retry, accounting, strict=config.compat == "strict")
    hedge = Hedge(config.upstream.hedge)
    hedging = Hedging(hedge, accounting) if hedge else None
    return Exchange(upstream, accounting, recovery, hedging, stores)


def _memory_counters(before: Services | None) -> Counters:
    """Return the counters in memory of the services before a reload, or new ones."""
    if before is not None and isinstance(before.counters, MemoryCounters):
        return before.counters
    return MemoryCounters()


def _add_routes(app: web.Application, plugins: list[Loaded], cors: Cors) -> None:
    """Register the plugins' routes, CORS on them, then the catch-alls, and the plugins' lifespans."""
    specific = [entry for entry in plugins if not entry.plugin.catch_all]
    for entry in specific:
        app.add_routes(entry.routes)
    cors.add_to(app)
    for entry in plugins[len(specific) :]:
        app.add_routes(entry.routes)
    for entry in plugins:
        app.cleanup_ctx.append(lifespan_of(entry))
