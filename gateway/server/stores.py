"""Where what is remembered between requests is kept: in memory, in SQLite files, or in a Redis that machines share."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.plugin import Services
from gateway.store.key_value import KeyValueStore, StoreLimits
from gateway.store.memory import MemoryStore
from gateway.store.sqlite import SqliteStore, state_path
from gateway.store.state_stores import StateStores

if TYPE_CHECKING:
    from gateway.store.redis import Redis

Tell = Callable[[str], None]

_FILES = {
    "signature": ("", "thought signatures"),
    "response": (".responses", "stored responses"),
    "answer": (".answers", "kept answers"),
    "pin": (".pins", "whose files are where"),
    "pool": (".pool", "what the pool learnt"),
}
"""What follows the file's name, and what is lost without it."""


def open_redis(config: GatewayConfig, source: Source, tell: Tell) -> "Redis | None":
    """What several machines share. Raises ConfigError for an address that cannot be, or a missing package."""
    state = config.state
    if state.redis is None:
        return None
    try:
        from gateway.store.redis import Redis

        password = state.redis_password.reveal() if state.redis_password is not None else None
        return Redis(state.redis, password, tell)
    except ImportError:
        told = "`redis` needs the package redis: pip install 'gemini-gateway[team]'"
    except ValueError as error:
        told = str(error)
    raise ConfigError((source.fault(("state", "redis"), told),))


def shared_stores(config: GatewayConfig, redis: "Redis") -> StateStores:
    """Those of all machines."""
    from gateway.store.redis import RedisStore

    return StateStores(config.state, config.cache, lambda kind, bounds: RedisStore(redis, bounds, kind))


def own_stores(config: GatewayConfig, source: Source, tell: Tell, before: Services | None) -> StateStores:
    """Those of this process; at a reload the same again, where they are only in memory. Blocks."""
    if before is not None and before.exchange.stores.only_in_memory:
        was = before.config
        if (was.state, was.cache) == (config.state, config.cache):
            return before.exchange.stores
    return StateStores(
        config.state, config.cache, lambda kind, bounds: own_store(config, kind, bounds, source, tell)
    )


def own_store(
    config: GatewayConfig, kind: str, bounds: StoreLimits, source: Source, tell: Tell
) -> KeyValueStore:
    """One kind, in a file of its own. Blocks. Raises ConfigError for a file that is not ours to write."""
    file = config.state.file or ("state.db" if os.environ.get("STATE_DIRECTORY") else None)
    if file is None:
        return MemoryStore(bounds)
    suffix, noun = _FILES[kind]
    try:
        return SqliteStore(state_path(file + suffix, os.environ), bounds, tell, noun)
    except ValueError as error:
        raise ConfigError((source.fault(("state", "file"), str(error)),)) from None
