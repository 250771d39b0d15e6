"""Owners of files and cached contents: who finds which, and for how long."""

import pytest

from gateway.errors import NotFound
from gateway.store.file_owners import LIMITS, FileOwners
from gateway.store.memory import MemoryStore

NOW = 1_800_000_000.0


async def test_a_file_is_known_for_two_days_and_a_cache_for_longer() -> None:
    kept = FileOwners(MemoryStore(LIMITS))
    await kept.keep("me", ["files/a", "cachedContents/b"], "blue", NOW)
    later = NOW + 48 * 3600

    assert await kept.project("me", {"files/a": "x", "cachedContents/b": "y"}, later - 1) == "blue"
    assert await kept.project("me", {"cachedContents/b": "y"}, later) == "blue"
    assert await kept.project("me", {}, later) == ""
    for scope, name, now in (("me", "files/a", later), ("you", "files/a", NOW), ("me", "files/b", NOW)):
        with pytest.raises(NotFound):
            await kept.project(scope, {name: "x"}, now)
