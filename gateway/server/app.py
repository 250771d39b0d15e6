"""Composes the application: services, plugins, CORS, middleware. Imports no plugin: they are found by name."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from time import time
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.attempt import Accounts
from gateway.config.abilities import families
from gateway.config.model import GatewayConfig
from gateway.config.prices import prices
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.exchange import Exchange
from gateway.plugin import SERVICES, Loaded, Services, load_plugins
from gateway.policy.access import Access
from gateway.policy.catalog import Catalog, alias_fault
from gateway.policy.limits import Admission
from gateway.policy.windows import limit_headers
from gateway.record import RECORD, Record
from gateway.server import cors
from gateway.server.lifecycle import DRAIN, Drain
from gateway.server.logs import Log
from gateway.server.middleware import Around
from gateway.server.team import Team, key_pool, open_ledger
from gateway.store.counters import MemoryCounters
from gateway.store.memory import MemorySignatures
from gateway.store.pins import BOUNDS, Pins
from gateway.store.signatures import Signatures, SignaturesConfig, StateConfig
from gateway.store.sqlite import SqliteSignatures, state_path
from gateway.totals import Totals
from gateway.upstream.client import GeminiClient
from gateway.upstream.media import MediaFetcher
from gateway.wire.gemini import SafetySetting

if TYPE_CHECKING:
    from gateway.store.redis_state import Redis

PLUGINS: web.AppKey[list[Loaded]] = web.AppKey("plugins", list)


def build_app(config: GatewayConfig, source: Source, before: Services | None = None) -> web.Application:
    """The application a configuration asks for. Raises ConfigError, with places from `source`.

    At a reload `before` is what served until now: its counts go on, and so does what was only in its memory.
    """
    log, drain, totals = Log(), Drain(), before.totals if before is not None else Totals()

    def finished(record: Record, status: int) -> None:
        record.ended(status)
        totals.add(record)
        if config.logging.exchanges:
            log.exchange(record)

    upstream, media = GeminiClient(config.upstream), MediaFetcher(config.media)
    _check(config, source)
    known = families(config.abilities, source)
    accounts = Accounts(key_pool(config, source), prices(config.ledger))
    if before is not None:
        _carry_over(before.exchange, accounts)
    access = Access(config.auth, pooled=bool(accounts.pool))
    exchange = Exchange(upstream, config.upstream.retry, accounts, known, strict=config.compat == "strict")
    services = Services(
        config=config,
        catalog=Catalog(config.models),
        families=known,
        safety=[SafetySetting(category, threshold) for category, threshold in config.safety.items()],
        exchange=exchange,
        media=media,
        admission=Admission(config.limits.streams),
        totals=totals,
        finished=finished,
        running=drain.tasks,
        access=access,
        counters=lambda: accounts.counters,
    )
    around = Around(log, services, config)
    app = web.Application(middlewares=[around], client_max_size=config.limits.body)
    app[SERVICES], app[DRAIN] = services, drain
    app[PLUGINS] = load_plugins(source, config, services)
    app.cleanup_ctx.append(_open(log, services, upstream, source, before))
    _serve(app, app[PLUGINS], config)
    app.on_response_prepare.append(_finish_headers(drain))
    return app


def _check(config: GatewayConfig, source: Source) -> None:
    """What is well-formed and cannot work all the same. Raises ConfigError."""
    faults = [
        source.fault(("models", "aliases", name), f"models.aliases.{name}: {told}")
        for name in config.models.aliases
        if (told := alias_fault(config.models, name)) is not None
    ]
    if config.upstream.base_url.rstrip("/").endswith(("/v1", "/v1beta", "/v1alpha")):
        told = "upstream.base_url: without the API version, which is upstream.api_version"
        faults.append(source.fault(("upstream", "base_url"), told))
    if faults:
        raise ConfigError(tuple(faults))


def _carry_over(old: Exchange, accounts: Accounts) -> None:
    """What pool and counters know of the clients and projects that are still there."""
    now = time()
    for change in old.accounts.pool.changes(now):
        accounts.pool.apply(change, now)
    if isinstance(old.accounts.counters, MemoryCounters):
        accounts.counters = old.accounts.counters


def _open(
    log: Log, services: Services, upstream: GeminiClient, source: Source, before: Services | None
) -> Callable[[web.Application], AsyncIterator[None]]:
    """What lives as long as the application; the log goes last, having to tell of the others."""

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        state, exchange = services.config.state, services.exchange

        def tell(message: str) -> None:
            log.event("team", message=message)

        config, accounts = services.config, exchange.accounts
        shared = _redis(config, source, tell)
        async with AsyncExitStack() as stack:
            told = None
            if shared is not None:
                from gateway.store.redis_state import RedisCounters, RedisPool, RedisSignatures

                await stack.enter_async_context(shared)
                exchange.signatures = RedisSignatures(shared, state.signatures, "signature")
                exchange.responses = RedisSignatures(shared, state.responses, "response")
                exchange.pins = Pins(RedisSignatures(shared, BOUNDS, "pin"))
                accounts.counters = RedisCounters(shared, state.machines)
                told = RedisPool(shared)
            elif before is not None and _only_in_memory(before, state):
                old = before.exchange
                exchange.signatures, exchange.responses, exchange.pins = (
                    old.signatures,
                    old.responses,
                    old.pins,
                )
            else:
                exchange.signatures = await asyncio.to_thread(
                    _store, state, state.signatures, "", log, source
                )
                exchange.responses = await asyncio.to_thread(
                    _store, state, state.responses, ".responses", log, source
                )
                exchange.pins = Pins(await asyncio.to_thread(_store, state, BOUNDS, ".pins", log, source))
            year = SignaturesConfig(hours=8760)
            pool_store = await asyncio.to_thread(_store, state, year, ".pool", log, source)
            ledger = await asyncio.to_thread(open_ledger, config, source, tell)
            await stack.enter_async_context(upstream)
            await stack.enter_async_context(services.media)
            await stack.enter_async_context(Team(ledger, accounts, services.access, pool_store, told, tell))
            yield
            await asyncio.gather(
                exchange.signatures.close(), exchange.responses.close(), exchange.pins.close()
            )
        await pool_store.close()
        await log.close()

    return lifetime


def _only_in_memory(before: Services, state: StateConfig) -> bool:
    """Whether signatures and responses were in memory alone, and shall be."""
    return before.config.state == state and isinstance(before.exchange.signatures, MemorySignatures)


def _redis(config: GatewayConfig, source: Source, tell: Callable[[str], None]) -> "Redis | None":
    """What several machines share. Raises ConfigError for an address that cannot be, or a missing package."""
    state = config.state
    if state.redis is None:
        return None
    try:
        from gateway.store.redis_state import Redis

        password = state.redis_password.reveal() if state.redis_password is not None else None
        return Redis(state.redis, password, tell)
    except ImportError:
        told = "`redis` needs the package redis: pip install 'gemini-gateway[team]'"
    except ValueError as error:
        told = str(error)
    raise ConfigError((source.fault(("state", "redis"), told),))


def _store(
    config: StateConfig, bounds: SignaturesConfig, suffix: str, log: Log, source: Source
) -> Signatures:
    """One kind of state, in a file of its own. Raises ConfigError for a file that is not ours to write."""
    file = config.file or ("state.db" if os.environ.get("STATE_DIRECTORY") else None)
    if file is None:
        return MemorySignatures(bounds)
    path = state_path(file + suffix, os.environ)
    noun = _NOUNS[suffix]
    try:
        return SqliteSignatures(path, bounds, lambda told: log.event("state", message=told), noun)
    except ValueError as error:
        raise ConfigError((source.fault(("state", "file"), str(error)),)) from None


_NOUNS = {
    "": "thought signatures",
    ".responses": "stored responses",
    ".pins": "whose files are where",
    ".pool": "what the pool learnt",
}


def _serve(app: web.Application, plugins: list[Loaded], config: GatewayConfig) -> None:
    """Routes in order, CORS on them, then what catches the rest."""
    named = [one for one in plugins if not one.plugin.catch_all]
    for one in named:
        app.add_routes(one.routes)
    cors.serve_routes(app, config.cors)
    app.router.add_route("OPTIONS", "/{preflight:.*}", cors.preflight)
    for one in plugins[len(named) :]:
        app.add_routes(one.routes)
    for one in plugins:
        app.cleanup_ctx.append(one.plugin.lifespan)
    # After aiohttp-cors has had its say: it echoes the origin where everybody may come.
    app.on_response_prepare.append(cors.allow_everywhere(config.cors))


def _finish_headers(drain: Drain) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What every answer carries: its request id, our name; and while draining, the wish to close."""

    async def finish(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers["Server"] = "gemini-gateway"
        record = request.get(RECORD)
        if record is not None:
            headers["x-request-id"] = record.request_id
            if record.limits:
                headers.update(limit_headers(record.limits))
        if drain.draining:
            response.force_close()
            headers["Connection"] = "close"  # aiohttp has written its own by now

    return finish
