"""The batch store: locks, files beside the rows, and what is left of killed processes."""

import os
from pathlib import Path

import pytest

from gateway.errors import RateLimited
from gateway.policy.clients.kept_batches import Answer, Batch, BatchPage, Line, Part
from gateway.store.batches.batch_store import BatchStore


@pytest.fixture
def store(tmp_path: Path) -> BatchStore:
    return BatchStore(tmp_path / "batches")


def added(store: BatchStore, name: str = "a") -> Batch:
    batch = Batch(name, "s", "", "openai", "/v1/chat/completions", 1, 100)
    store.add(batch)
    return batch


def test_a_batch_is_found_by_its_client_and_surface_alone(store: BatchStore) -> None:
    batch = added(store)

    assert store.find("s", "openai", "a") == batch
    assert store.find("t", "openai", "a") is None
    assert store.find("s", "anthropic", "a") is None
    assert store.get("a") == batch
    assert store.page("s", "openai", BatchPage(1)) == [batch]


def test_batches_of_one_client_that_have_not_ended_are_bounded(store: BatchStore) -> None:
    first, other = Batch("a", "s", "", "openai", "/", 1, 100), Batch("b", "s", "", "anthropic", "/", 1, 100)
    store.add(first, 1)
    with pytest.raises(RateLimited, match="1 batches"):
        store.add(other, 1)
    store.add(Batch("c", "t", "", "openai", "/", 1, 100), 1)
    first.enter("completed", 5.0)
    store.save(first)

    store.add(other, 1)
    assert store.get("b") == other


def test_the_lines_of_a_batch_that_has_ended_are_deleted(store: BatchStore) -> None:
    batch = added(store)
    for path in (store.input(batch), store.results(batch), store.requests("p")):
        path.write_bytes(b"")

    store.drop_files(batch, [Part("p", "a", 0, "here", "m")])
    assert [path.name for path in store.folder.iterdir() if "batches.db" not in path.name] == ["a.results"]


def test_a_lock_is_held_by_one(store: BatchStore) -> None:
    batch, other = added(store), added(store, "b")

    with store.locked(batch) as is_mine, store.locked(batch) as is_others, store.locked(other) as is_free:
        assert (is_mine, is_others, is_free) == (True, False, True)
    with store.locked(batch) as is_mine:
        assert is_mine


def test_lines_are_read_again_after_a_kill(store: BatchStore) -> None:
    batch, part = added(store), Part("p", "a", 0, "batchGenerateContent", "m")
    store.requests("p").write_bytes(b"{}")
    store.add_lines(batch, [Line(0, "x", "p")])
    store.save(batch, [part], [Answer(0, 0, 0, 1, True)])
    assert [(line.custom_id, len(answers)) for line, answers in store.lines(batch)] == [("x", 1)]

    store.begin(batch)
    assert store.parts(batch) == []
    assert not store.requests("p").exists()
    store.add_lines(batch, [Line(0, "x", "p")])


def test_old_batches_and_strays_are_swept(store: BatchStore) -> None:
    batch, other = added(store), added(store, "b" * 24)
    kept = Part(f"batch_{other.id}-0", other.id, 0, "here", "m")
    other.expires_at = 1000
    store.database.query("UPDATE batch SET expires_at = 1000 WHERE id = ?", other.id)
    store.save(other, [kept])
    stray, others = (
        store.requests(f"batch_{'c' * 24}-10"),
        [store.folder / "ledger.db", store.folder / "other.lock"],
    )
    for path in (store.input(batch), store.requests(kept.id), stray, store.results(other), *others):
        path.write_bytes(b"")
        os.utime(path, (0, 0))
    (store.folder / "folder").mkdir()
    os.utime(store.folder / "folder", (0, 0))

    assert store.sweep(10_000, 500) == 1
    assert store.get("a") is None
    names = {path.name for path in store.folder.iterdir() if not path.name.startswith("batches.db")}
    assert names == {f"{kept.id}.requests", f"{other.id}.results", "ledger.db", "other.lock", "folder"}
