"""Composes the application: services, plugins, CORS, middleware. Imports no plugin: they are found by name."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from time import time

from aiohttp import web

from gateway.config.capabilities import capability_table
from gateway.config.prices import prices
from gateway.config.sections import CorsConfig, GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError, Fault
from gateway.exchange.attempt import CallAccounting
from gateway.exchange.exchange import Exchange
from gateway.exchange.recovery import Recovery
from gateway.gemini.capabilities import CapabilityTable
from gateway.gemini.wire import SafetySetting
from gateway.observability.json_log import JsonLog
from gateway.observability.loop_lag import LoopLag
from gateway.observability.open_tracing import open_tracing
from gateway.observability.request_log import REQUEST_LOG, RequestLog
from gateway.observability.statistics import Statistics
from gateway.plugin import SERVICES, Loaded, Services, load_plugins
from gateway.policy.access import Access
from gateway.policy.admission import Admission
from gateway.policy.catalog import Catalog, alias_fault, fallback_fault
from gateway.policy.keypool import KeyPool
from gateway.policy.rate_limits import limit_headers
from gateway.server import cors
from gateway.server.lifecycle import DRAIN, Drain
from gateway.server.middleware import RequestMiddleware
from gateway.server.state import open_redis, own_store, own_stores, shared_stores
from gateway.server.team import Team, key_pool, open_ledger
from gateway.store.key_value import StoreLimits
from gateway.store.rate_counters import MemoryCounters
from gateway.store.response_cache import HEADER
from gateway.upstream.client import GeminiClient
from gateway.upstream.media import MediaFetcher

_A_YEAR = StoreLimits(hours=8760)

PLUGINS: web.AppKey[list[Loaded]] = web.AppKey("plugins", list)


def build_app(config: GatewayConfig, source: Source, before: Services | None = None) -> web.Application:
    """The application a configuration asks for. Raises ConfigError, with places from `source`.

    At a reload `before` is what served until now: its counts go on, and so does what was only in its memory.
    """
    log, drain, totals = JsonLog(), Drain(), before.totals if before is not None else Statistics()

    def finished(record: RequestLog, status: int) -> None:
        record.ended(status)
        totals.add(record)
        if config.logging.exchanges:
            log.exchange(record)

    upstream, media = GeminiClient(config.upstream), MediaFetcher(config.media)
    known, pool = _checked(config, source)
    accounts = CallAccounting(pool, prices(config.ledger), known, totals)
    if before is not None:
        _carry_over(before.exchange, accounts)
    access = Access(config.auth, pooled=bool(accounts.pool))
    retrial = Recovery(config.upstream.retry, accounts, strict=config.compat == "strict")
    exchange = Exchange(upstream, accounts, retrial, config.upstream.hedge)
    services = Services(
        config=config,
        catalog=Catalog(config.models),
        capability_table=known,
        safety=[SafetySetting(category, threshold) for category, threshold in config.safety.items()],
        exchange=exchange,
        media=media,
        admission=Admission(config.limits.streams),
        totals=totals,
        finished=finished,
        running=drain.tasks,
        access=access,
        counters=lambda: accounts.counters,
        lines_dropped=lambda: log.dropped,
        lag=LoopLag(),
    )
    around = RequestMiddleware(log, services, config)
    app = web.Application(middlewares=[around], client_max_size=config.limits.body)
    app[SERVICES], app[DRAIN] = services, drain
    app[PLUGINS] = load_plugins(source, config, services)
    app.cleanup_ctx.append(_open(log, services, upstream, source, before))
    app.cleanup_ctx.append(_traced(log, around))
    _serve(app, app[PLUGINS], config)
    return app


def _checked(config: GatewayConfig, source: Source) -> tuple[CapabilityTable, KeyPool]:
    """The model table and the pool. Raises ConfigError for all that is well-formed and cannot work all the same."""
    faults = _misfits(config, source)
    known, pool = CapabilityTable({}), KeyPool([], config.pool)
    try:
        known = capability_table(config.abilities, source)
    except ConfigError as error:
        faults += error.faults
    try:
        pool = key_pool(config, source)
    except ConfigError as error:
        faults += error.faults
    if faults:
        raise ConfigError(tuple(faults))
    return known, pool


def _misfits(config: GatewayConfig, source: Source) -> list[Fault]:
    """What does not go together."""
    faults = [
        source.fault(("models", "aliases", name), f"models.aliases.{name}: {told}")
        for name in config.models.aliases
        if (told := alias_fault(config.models, name)) is not None
    ]
    faults += [
        source.fault(("models", "fallbacks", pattern), f"models.fallbacks.{pattern}: {told}")
        for pattern in config.models.fallbacks
        if (told := fallback_fault(config.models, pattern)) is not None
    ]
    if config.upstream.base_url.rstrip("/").endswith(("/v1", "/v1beta", "/v1alpha")):
        told = "upstream.base_url: without the API version, which is upstream.api_version"
        faults.append(source.fault(("upstream", "base_url"), told))
    admin, listen = config.admin, config.listen
    if (
        admin.port
        and not admin.unix
        and not listen.unix
        and (admin.host, admin.port) == (listen.host, listen.port)
    ):
        faults.append(source.fault(("admin", "port"), f"admin.port: {admin.port} is listen.port, too"))
    return faults


def _carry_over(old: Exchange, accounts: CallAccounting) -> None:
    """What pool and counters know of the clients and projects that are still there."""
    now = time()
    for change in old.accounts.pool.changes(now):
        accounts.pool.apply(change, now)
    if isinstance(old.accounts.counters, MemoryCounters):
        accounts.counters = old.accounts.counters


def _open(
    log: JsonLog, services: Services, upstream: GeminiClient, source: Source, before: Services | None
) -> Callable[[web.Application], AsyncIterator[None]]:
    """What lives as long as the application; the log goes last, having to tell of the others."""

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        config, exchange = services.config, services.exchange
        accounts = exchange.accounts

        def tell(message: str) -> None:
            log.event("team", message=message)

        def tell_of_state(message: str) -> None:
            log.event("state", message=message)

        shared = open_redis(config, source, tell)
        async with AsyncExitStack() as stack:
            told = None
            if shared is not None:
                from gateway.store.redis import RedisCounters, RedisPool

                await stack.enter_async_context(shared)
                exchange.stores = shared_stores(config, shared)
                accounts.counters = RedisCounters(shared, config.state.machines)
                told = RedisPool(shared)
            else:
                exchange.stores = await asyncio.to_thread(own_stores, config, source, tell_of_state, before)
            pool_store = await asyncio.to_thread(own_store, config, "pool", _A_YEAR, source, tell_of_state)
            ledger = await asyncio.to_thread(open_ledger, config, source, tell)
            await stack.enter_async_context(services.lag.sampling())
            await stack.enter_async_context(upstream)
            await stack.enter_async_context(services.media)
            await stack.enter_async_context(Team(ledger, accounts, services.access, pool_store, told, tell))
            yield
            await exchange.stores.close()
        await pool_store.close()
        await log.close()

    return lifetime


def _traced(log: JsonLog, around: RequestMiddleware) -> Callable[[web.Application], AsyncIterator[None]]:
    """Traces, where the environment asks for them; the last spans go out before the log ends."""

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        around.tracing = await asyncio.to_thread(
            open_tracing, os.environ, lambda told: log.event("traces", message=told)
        )
        yield
        if around.tracing is not None:
            await around.tracing.close()

    return lifetime


def _serve(app: web.Application, plugins: list[Loaded], config: GatewayConfig) -> None:
    """Routes in order, CORS on them, then what catches the rest."""
    named = [one for one in plugins if not one.plugin.catch_all]
    for one in named:
        app.add_routes(one.routes)
    theirs = cors.serve_routes(app, config.cors)
    app.router.add_route("OPTIONS", "/{preflight:.*}", cors.preflight)
    for one in plugins[len(named) :]:
        app.add_routes(one.routes)
    for one in plugins:
        app.cleanup_ctx.append(one.plugin.lifespan)
    app.on_response_prepare.append(_finish_headers(app[DRAIN], config.cors, theirs))


def _finish_headers(
    drain: Drain, origins: CorsConfig, theirs: cors.Signal
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What every answer carries: CORS, its request id, our name; and while draining, the wish to close.

    One signal for all of it, because aiohttp awaits each of them for each answer.
    """

    async def finish(request: web.Request, response: web.StreamResponse) -> None:
        if "Origin" in request.headers:
            await theirs(request, response)
        cors.allow(origins, request, response)
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
            headers["Connection"] = "close"  # aiohttp has written its own by now

    return finish
