"""All stores of state: each by its kind, and errors by name."""

from collections.abc import Mapping, Sequence

import pytest

from gateway.store.key_value import KeyValueStore, StateConfig, StoreKind, StoreLimits
from gateway.store.memory import MemoryStore
from gateway.store.response_cache import CacheConfig
from gateway.store.state_stores import StateStores


class Failing(MemoryStore):
    """A store with errors that remembers whether it was closed."""

    def __init__(self, limits: StoreLimits, errors: int) -> None:
        super().__init__(limits)
        self.errors = errors
        self.closed = False

    async def close(self) -> None:
        self.closed = True


async def test_errors_are_counted_by_the_name_of_the_store_and_all_are_closed() -> None:
    made: dict[str, Failing] = {}

    def make(kind: StoreKind, limits: StoreLimits) -> KeyValueStore:
        made[kind.name] = Failing(limits, len(made) + 1)
        return made[kind.name]

    stores = StateStores(StateConfig(), CacheConfig(), make)
    assert stores.errors() == {"signatures": 1, "responses": 2, "answers": 3, "file_owners": 4, "pool": 5}
    await stores.close()
    assert [store.closed for store in made.values()] == [True] * 5


async def test_each_kind_has_a_store_limits_a_file_and_a_key_prefix_of_its_own() -> None:
    kinds: dict[StoreKind, StoreLimits] = {}

    def make(kind: StoreKind, limits: StoreLimits) -> KeyValueStore:
        kinds[kind] = limits
        return MemoryStore(limits)

    StateStores(StateConfig(signatures=StoreLimits(1, 2)), CacheConfig(seconds=7200, megabytes=3), make)

    assert {kind.file_suffix for kind in kinds} == {"", ".responses", ".answers", ".pins", ".pool"}
    assert {kind.key_prefix for kind in kinds} == {"signature", "response", "answer", "pin", "pool"}
    assert [kind.name for kind in kinds if kind.changes] == ["responses"]
    limits = {kind.name: limits for kind, limits in kinds.items()}
    assert (limits["signatures"], limits["answers"]) == (StoreLimits(1, 2), StoreLimits(3, 2))


class Elsewhere:
    """A store that is not in memory."""

    errors = 0

    async def get(self, keys: Sequence[bytes], now: float) -> dict[bytes, str]:
        return {}

    async def put(self, entries: Mapping[bytes, str], now: float) -> None: ...

    async def close(self) -> None: ...


@pytest.mark.parametrize("elsewhere", ["signatures", "pool"])
def test_one_store_elsewhere_is_enough_to_outlive_the_process(elsewhere: str) -> None:
    def make(kind: StoreKind, limits: StoreLimits) -> KeyValueStore:
        return Elsewhere() if kind.name == elsewhere else MemoryStore(limits)

    assert StateStores(StateConfig(), CacheConfig()).only_in_memory
    assert not StateStores(StateConfig(), CacheConfig(), make).only_in_memory
