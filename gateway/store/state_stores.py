"""All that is remembered between requests: each kind in a store of its own, all of one make."""

import asyncio
from collections.abc import Callable
from typing import Literal

from gateway.store.file_owners import BOUNDS, FileOwners
from gateway.store.key_value import KeyValueStore, StateConfig, StoreLimits
from gateway.store.memory import MemoryStore
from gateway.store.response_cache import CacheConfig, ResponseCache

Kind = Literal["signature", "response", "answer", "pin"]


def in_memory(_: Kind, bounds: StoreLimits) -> KeyValueStore:
    """As long as the process lives."""
    return MemoryStore(bounds)


class StateStores:
    """`make` makes the store of one kind; it may block."""

    def __init__(
        self,
        state: StateConfig,
        cache: CacheConfig,
        make: Callable[[Kind, StoreLimits], KeyValueStore] = in_memory,
    ) -> None:
        self.signatures = make("signature", state.signatures)
        """Thought signatures, for clients that drop them."""
        self.responses = make("response", state.responses)
        """Of /v1/responses, for `previous_response_id`."""
        self._answers = make("answer", cache.bounds)
        self.answers = ResponseCache(self._answers)
        """For who asks for the same again."""
        self._pins = make("pin", BOUNDS)
        self.pins = FileOwners(self._pins)
        """Where the files and caches of issued keys are."""

    @property
    def only_in_memory(self) -> bool:
        """Nothing of it outlives the process."""
        return isinstance(self.signatures, MemoryStore)

    async def close(self) -> None:
        """Make what was put last as safe as it can be made, and let go."""
        every = (self.signatures, self.responses, self._answers, self._pins)
        await asyncio.gather(*(store.close() for store in every))
