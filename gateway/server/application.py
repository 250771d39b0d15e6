"""The aiohttp application: services, plugins, middleware, CORS. Plugins are imported by name only."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from time import time

from aiohttp import web

from gateway.config.capabilities import capability_table
from gateway.config.consistency import contradictions
from gateway.config.key_pool import key_pool
from gateway.config.prices import prices
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.exchange.attempt import CallAccounting
from gateway.exchange.exchange import Exchange
from gateway.exchange.recovery import Recovery
from gateway.gemini.capabilities import CapabilityTable
from gateway.gemini.wire import SafetySetting
from gateway.observability.json_log import JsonLog, captured_logging
from gateway.observability.loop_lag import LoopLag
from gateway.observability.open_tracing import open_tracing
from gateway.observability.prometheus import MetricSources
from gateway.observability.request_log import REQUEST_LOG, RequestLog
from gateway.observability.statistics import Statistics
from gateway.plugin import SERVICES, Plugin, Services
from gateway.policy.access import Access
from gateway.policy.admission import Admission
from gateway.policy.catalog import Catalog
from gateway.policy.keypool import KeyPool
from gateway.policy.rate_limits import limit_headers
from gateway.server.cors import Cors
from gateway.server.issued_keys import IssuedKeys
from gateway.server.lifecycle import DRAIN, Drain
from gateway.server.middleware import RequestMiddleware
from gateway.server.plugin_loader import Loaded, load_plugins
from gateway.server.pool_state import PoolState
from gateway.server.stores import open_ledger, open_redis, own_store, own_stores, shared_stores
from gateway.store.key_value import StoreLimits
from gateway.store.rate_counters import MemoryCounters
from gateway.store.response_cache import HEADER
from gateway.upstream.client import GeminiClient
from gateway.upstream.media import MediaFetcher

_A_YEAR = StoreLimits(hours=8760)

PLUGINS: web.AppKey[list[Loaded]] = web.AppKey("plugins", list)


def build_app(config: GatewayConfig, source: Source, before: Services | None = None) -> web.Application:
    """Return the application for a configuration. Raises ConfigError with the places of faults in `source`.

    At a reload, `before` are the services in use: their statistics continue, and so does what is only in memory.
    """
    log, drain, cors = JsonLog(), Drain(), Cors(config.cors)
    upstream = GeminiClient(config.upstream)
    active: dict[str, Plugin] = {}
    services = _services(config, source, before, upstream, log, drain, active)
    middleware = RequestMiddleware(log, services, cors)
    app = web.Application(middlewares=[middleware], client_max_size=config.limits.body)
    app[SERVICES], app[DRAIN] = services, drain
    app[PLUGINS] = load_plugins(source, config, services)
    active.update((entry.name, entry.plugin) for entry in app[PLUGINS])
    app.cleanup_ctx.append(_open(log, services, upstream, source, before))
    app.cleanup_ctx.append(_traced(log, middleware))
    _add_routes(app, app[PLUGINS], cors)
    app.on_response_prepare.append(_finish_headers(drain, cors))
    return app


def _services(
    config: GatewayConfig,
    source: Source,
    before: Services | None,
    upstream: GeminiClient,
    log: JsonLog,
    drain: Drain,
    active: dict[str, Plugin],
) -> Services:
    """Build what the plugins share, without opening anything."""
    totals = before.totals if before is not None else Statistics()
    table, pool = _checked(config, source)
    accounts = CallAccounting(pool, prices(config.ledger), table, totals)
    if before is not None:
        _carry_over(before.exchange, accounts)
    recovery = Recovery(config.upstream.retry, accounts, strict=config.compat == "strict")
    exchange = Exchange(upstream, accounts, recovery, config.upstream.hedge)
    admission = Admission(config.limits.streams)

    def finished(record: RequestLog, status: int) -> None:
        record.ended(status)
        totals.add(record)
        if config.logging.exchanges:
            log.exchange(record)

    return Services(
        config=config,
        catalog=Catalog(config.models),
        capability_table=table,
        safety=[SafetySetting(category, threshold) for category, threshold in config.safety.items()],
        exchange=exchange,
        media=MediaFetcher(config.media),
        admission=admission,
        totals=totals,
        finished=finished,
        running=drain.tasks,
        access=Access(config.auth, pooled=bool(pool)),
        counters=lambda: accounts.counters,
        metrics=_metric_sources(config, exchange, admission, log),
        draining=lambda: drain.draining,
        plugins=active,
    )


def _metric_sources(
    config: GatewayConfig, exchange: Exchange, admission: Admission, log: JsonLog
) -> MetricSources:
    accounts = exchange.accounts
    return MetricSources(
        statistics=accounts.totals,
        admission=admission,
        limit=config.limits.streams,
        pool=accounts.pool,
        loop_lag=LoopLag(),
        ledger=lambda: accounts.ledger,
        state=lambda: exchange.stores.signatures,
        shared=lambda: accounts.counters,
        lines_dropped=lambda: log.dropped,
    )


def _checked(config: GatewayConfig, source: Source) -> tuple[CapabilityTable, KeyPool]:
    """Return the capability table and the key pool. Raises ConfigError with all faults of valid values."""
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
    return table, pool


def _carry_over(old: Exchange, accounts: CallAccounting) -> None:
    """Copy cooldowns of projects and counters of clients that still exist."""
    now = time()
    for update in old.accounts.pool.changes(now):
        accounts.pool.apply(update, now)
    if isinstance(old.accounts.counters, MemoryCounters):
        accounts.counters = old.accounts.counters


def _open(
    log: JsonLog, services: Services, upstream: GeminiClient, source: Source, before: Services | None
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Open what lives as long as the application. The log closes last, because the others report to it."""

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        config, exchange = services.config, services.exchange
        accounts = exchange.accounts

        def report_team(message: str) -> None:
            log.event("team", message=message)

        def report_state(message: str) -> None:
            log.event("state", message=message)

        redis = open_redis(config, source, report_team)
        async with AsyncExitStack() as stack:
            stack.enter_context(captured_logging(log))
            shared_pool = None
            if redis is not None:
                from gateway.store.redis import RedisCounters, RedisPool

                await stack.enter_async_context(redis)
                exchange.stores = shared_stores(config, redis)
                accounts.counters = RedisCounters(redis, config.state.machines)
                shared_pool = RedisPool(redis)
            else:
                exchange.stores = await asyncio.to_thread(own_stores, config, source, report_state, before)
            pool_store = await asyncio.to_thread(own_store, config, "pool", _A_YEAR, source, report_state)
            ledger = await asyncio.to_thread(open_ledger, config, source, report_team)
            await stack.enter_async_context(services.metrics.loop_lag.sampling())
            await stack.enter_async_context(upstream)
            await stack.enter_async_context(services.media)
            if ledger is not None:
                accounts.ledger = ledger
                await stack.enter_async_context(IssuedKeys(ledger, services.access, report_team))
            await stack.enter_async_context(PoolState(accounts, pool_store, shared_pool))
            yield
            await exchange.stores.close()
        await pool_store.close()
        await log.close()

    return lifetime


def _traced(log: JsonLog, middleware: RequestMiddleware) -> Callable[[web.Application], AsyncIterator[None]]:
    """Open tracing if the environment configures it. It closes before the log."""

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        middleware.tracing = await asyncio.to_thread(
            open_tracing, os.environ, lambda message: log.event("traces", message=message)
        )
        yield
        if middleware.tracing is not None:
            await middleware.tracing.close()

    return lifetime


def _add_routes(app: web.Application, plugins: list[Loaded], cors: Cors) -> None:
    """Register the plugins' routes, CORS on them, then the catch-alls, and the plugins' lifespans."""
    specific = [entry for entry in plugins if not entry.plugin.catch_all]
    for entry in specific:
        app.add_routes(entry.routes)
    cors.add_to(app)
    for entry in plugins[len(specific) :]:
        app.add_routes(entry.routes)
    for entry in plugins:
        app.cleanup_ctx.append(entry.plugin.lifespan)


def _finish_headers(drain: Drain, cors: Cors) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return the signal that adds the headers of every response.

    One signal for all headers, because aiohttp awaits each of them for each response.
    """

    async def finish(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers["Server"] = "gemini-gateway"
        record = request.get(REQUEST_LOG)
        if record is not None:
            headers["x-request-id"] = record.request_id
            if record.limits:
                headers.update(limit_headers(record.limits))
            if record.cached is not None:
                headers[HEADER] = record.cached
            if record.fallbacks:
                headers["x-gateway-fallback"] = ", ".join(record.fallbacks)
        if drain.draining:
            response.force_close()
            headers["Connection"] = "close"  # aiohttp has set its own value before this signal
        await cors.finish(request, response)  # last, because it lists the headers that pages may read

    return finish
