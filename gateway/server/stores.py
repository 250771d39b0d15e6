"""Stores that the configuration names: state in memory, SQLite or Redis, and the ledger's database."""

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.plugin import Services
from gateway.store.key_value import KeyValueStore, StoreKind, StoreLimits
from gateway.store.memory import MemoryStore
from gateway.store.state_folder import state_path
from gateway.store.state_stores import POOL, StateStores

if TYPE_CHECKING:
    from gateway.store.ledger.writer import Ledger
    from gateway.store.redis import Redis

Report = Callable[[str], None]
"""Writes a message to the log."""


def open_redis(config: GatewayConfig, source: Source, report: Report) -> "Redis | None":
    """Return the Redis of `state.redis`, not yet connected, or None.

    Raises ConfigError for an invalid address or a missing package.
    """
    state = config.state
    if state.redis is None:
        return None
    try:
        from gateway.store.redis import Redis

        password = state.redis_password.reveal() if state.redis_password is not None else None
        return Redis(state.redis, password, report)
    except ImportError:
        message = "`redis` needs the package redis: in a checkout, pip install '.[team]'"
    except ValueError as error:
        message = str(error)
    raise ConfigError((source.fault(("state", "redis"), message),))


def open_stores(
    config: GatewayConfig, source: Source, report: Report, redis: "Redis | None", before: Services | None
) -> StateStores:
    """Return the stores of state: in Redis, in files, or in memory. Blocks.

    The pool's state is always local, because machines exchange it by updates. At a reload, the stores of `before` are
    kept if they are in memory and their settings are unchanged. Raises ConfigError for a file that cannot be used.
    """
    if redis is None and before is not None and before.exchange.stores.only_in_memory:
        old = before.config
        if (old.state, old.cache) == (config.state, config.cache):
            return before.exchange.stores

    opened: list[KeyValueStore] = []

    def make(kind: StoreKind, limits: StoreLimits) -> KeyValueStore:
        opened.append(_open_store(config, source, report, None if kind == POOL else redis, kind, limits))
        return opened[-1]

    try:
        return StateStores(config.state, config.cache, make)
    except BaseException:
        asyncio.run(_close(opened))  # this is a thread without a loop
        raise


async def _close(stores: list[KeyValueStore]) -> None:
    for store in stores:
        await store.close()


def plugin_store(
    config: GatewayConfig,
    name: str,
    limits: StoreLimits,
    source: Source,
    report: Report,
    redis: "Redis | None",
) -> KeyValueStore:
    """Return a store for a plugin: in Redis if the configuration names one, else a file of its own, or memory.

    Blocks. Raises ConfigError for a file that cannot be used.
    """
    kind = StoreKind(
        f"plugin-{name}", f"data of the plugin {name!r}", f".plugin-{name}", f"plugin-{name}", changes=True
    )
    return _open_store(config, source, report, redis, kind, limits)


def _open_store(
    config: GatewayConfig,
    source: Source,
    report: Report,
    redis: "Redis | None",
    kind: StoreKind,
    limits: StoreLimits,
) -> KeyValueStore:
    """Return the store of one kind: in Redis, in a file of its own, or in memory."""
    if redis is not None:
        from gateway.store.redis import RedisStore

        return RedisStore(redis, limits, kind)
    file = state_file(config, os.environ)
    if file is None:
        return MemoryStore(limits)
    from gateway.store.sqlite import SqliteStore

    try:
        return SqliteStore(file.with_name(file.name + kind.file_suffix), limits, report, kind.noun)
    except ValueError as error:
        raise ConfigError((source.fault(("state", "file"), str(error)),)) from None


def state_file(config: GatewayConfig, environ: Mapping[str, str]) -> Path | None:
    """Return the path of `state.file`, to whose name each kind of state adds its suffix, or None for memory."""
    file = config.state.file or ("state.db" if environ.get("STATE_DIRECTORY") else None)
    return state_path(file, environ) if file is not None else None


def ledger_url(config: GatewayConfig, environ: Mapping[str, str]) -> str | None:
    """Return the ledger's database URL or file. Default with a pool: `ledger.db` in systemd's state directory."""
    url = config.ledger.url or ("ledger.db" if config.pool.projects else None)
    if url is None or "://" in url:
        return url
    directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return str(Path(directory or Path.cwd()) / url)


def without_password(url: str) -> str:
    """Return a URL without its password."""
    url = re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1@", url)
    return re.sub(r"(?<=[?&])password=[^&]*&?", "", url).rstrip("?&")


def open_ledger(config: GatewayConfig, source: Source, report: Report) -> "Ledger | None":
    """Return the configured ledger, or None. Blocks. Raises ConfigError if it cannot be opened."""
    url = ledger_url(config, os.environ)
    if url is None:
        return None
    password = config.ledger.password
    try:
        from gateway.store.ledger.writer import Ledger  # imports SQLAlchemy, which takes long

        return Ledger(url, password.reveal() if password is not None else None, config.ledger, report)
    except ImportError as error:
        message = f"the ledger needs the package {error.name}: in a checkout, pip install '.[team]'"
    except Exception as error:  # noqa: BLE001 - database drivers raise exceptions of their own
        message = f"the ledger cannot be opened: {first_line(error)}"
    raise ConfigError((source.fault(("ledger", "url"), message),)) from None


def first_line(error: Exception) -> str:
    """Return the first line of a database error, without SQLAlchemy's own wrapping."""
    return (str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__])[0]
