"""State that is kept between requests: each kind in a key-value store of its own."""

import asyncio
from collections.abc import Callable

from gateway.store.file_owners import LIMITS as FILE_OWNER_LIMITS
from gateway.store.file_owners import FileOwners
from gateway.store.key_value import KeyValueStore, StateConfig, StoreKind, StoreLimits
from gateway.store.memory import MemoryStore
from gateway.store.response_cache import CacheConfig, ResponseCache

SIGNATURES = StoreKind("signatures", "thought signatures", "", "signature")
RESPONSES = StoreKind("responses", "stored responses", ".responses", "response", changes=True)
ANSWERS = StoreKind("answers", "cached answers", ".answers", "answer")
FILE_OWNERS = StoreKind("file_owners", "owners of files", ".pins", "pin")
POOL = StoreKind("pool", "cooldowns of the key pool", ".pool", "pool")
KINDS = (SIGNATURES, RESPONSES, ANSWERS, FILE_OWNERS, POOL)

_POOL_LIMITS = StoreLimits(megabytes=1, hours=8760)
"""One small entry; a year, because a leaked key stays refused."""

Make = Callable[[StoreKind, StoreLimits], KeyValueStore]
"""Returns the store of one kind. May block."""


def in_memory(_: StoreKind, limits: StoreLimits) -> KeyValueStore:
    """Return a store that lives as long as the process."""
    return MemoryStore(limits)


class StateStores:
    """All stores of state. Creating them may block."""

    def __init__(self, state: StateConfig, cache: CacheConfig, make: Make = in_memory) -> None:
        limits = {
            SIGNATURES: state.signatures,
            RESPONSES: state.responses,
            ANSWERS: cache.limits,
            FILE_OWNERS: FILE_OWNER_LIMITS,
            POOL: _POOL_LIMITS,
        }
        self._stores = {kind: make(kind, kind_limits) for kind, kind_limits in limits.items()}
        self.signatures = self._stores[SIGNATURES]
        """Thought signatures, for clients that do not send them back."""
        self.responses = self._stores[RESPONSES]
        """Responses of /v1/responses, for `previous_response_id`."""
        self.answers = ResponseCache(self._stores[ANSWERS])
        """Cached answers, for clients that ask for caching."""
        self.file_owners = FileOwners(self._stores[FILE_OWNERS])
        """Projects and owners of files and cached contents of issued keys."""
        self.pool = self._stores[POOL]
        """Cooldowns of the key pool."""

    @property
    def only_in_memory(self) -> bool:
        """Whether nothing outlives the process."""
        return all(isinstance(store, MemoryStore) for store in self._stores.values())

    @property
    def held(self) -> int:
        """Bytes of memory that all entries take."""
        return sum(int(getattr(store, "size", 0)) for store in self._stores.values())

    def errors(self) -> dict[str, int]:
        """Return the failed reads and writes of each store, by its name."""
        return {kind.name: store.errors for kind, store in self._stores.items()}

    async def close(self) -> None:
        """Finish pending writes of all stores."""
        await asyncio.gather(*(store.close() for store in self._stores.values()))
