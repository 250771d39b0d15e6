"""The batch store's database: what is written is read back, in order and for its client alone."""

from pathlib import Path
from typing import Any

import pytest

from gateway.policy.clients.kept_batches import Answer, Batch, BatchPage, Details, Line, LineError, Part
from gateway.store.batches.database import (
    BatchDatabase,
    delete_lines,
    insert_answers,
    insert_lines,
    save_batch,
    save_part,
)


def batch(name: str, scope: str = "s") -> Batch:
    return Batch(name, scope, "key", "openai", "/v1/chat/completions", 1, 2, details=Details("f"))


@pytest.fixture
def database(tmp_path: Path) -> BatchDatabase:
    database = BatchDatabase(tmp_path / "batches.db")
    for name in "abc":
        database.insert(batch(name))
    database.insert(batch("other", "t"))
    return database


def test_a_batch_is_read_back(database: BatchDatabase) -> None:
    (row,) = database.batches("id = ?", "b")
    assert row.number == 2
    row.enter("failed", 7.5)
    row.total, row.next_look = 3, 9.5
    row.details.errors = [LineError("empty_file", "It is empty.", 1)]
    with database.transaction() as run:
        save_batch(run, row)

    assert database.batches("id = ?", "b") == [row]
    assert row.details.at == {"failed": 7}
    assert [each.id for each in database.live()] == ["a", "c", "other"]


def test_a_page_has_a_clients_batches(database: BatchDatabase) -> None:
    def ids(page: BatchPage) -> list[str]:
        return [row.id for row in database.page("s", "openai", page)]

    assert ids(BatchPage(2)) == ["c", "b"]
    assert ids(BatchPage(9, 2)) == ["a"]
    assert ids(BatchPage(9, 1, up=True)) == ["b", "c"]
    assert database.page("s", "anthropic", BatchPage(9)) == []


def test_lines_come_in_order_with_their_answers(database: BatchDatabase) -> None:
    with database.transaction() as run:
        insert_lines(run, "a", [Line(i, str(i), "p", context=b"x") for i in reversed(range(1200))])
        insert_lines(run, "b", [Line(0, "of another", "q")])
        insert_answers(
            run, "a", [Answer(7, 1, 5, 5, True), Answer(7, 0, 0, 5, False), Answer(1100, 0, 0, 1, True)]
        )
        insert_answers(run, "a", [Answer(7, 0, 10, 5, True)])  # read again after a restart

    lines = list(database.lines("a"))
    assert [line.number for line, _ in lines] == list(range(1200))
    assert {line.number: answers for line, answers in lines if answers} == {
        7: [Answer(7, 0, 10, 5, True), Answer(7, 1, 5, 5, True)],
        1100: [Answer(1100, 0, 0, 1, True)],
    }


def test_what_was_made_of_a_batch_is_deleted(database: BatchDatabase) -> None:
    part = Part("p", "a", 0, "here", "m", tried=["x"])
    with database.transaction() as run:
        save_part(run, part)
        insert_lines(run, "a", [Line(0, "0", "p")])
        insert_answers(run, "a", [Answer(0, 0, 0, 1, True)])
    assert database.parts("a") == [part]

    with database.transaction() as run:
        assert delete_lines(run, "a") == ["p"]
    assert database.parts("a") == []
    assert list(database.lines("a")) == []


def test_the_tokens_of_parts_that_have_not_ended_are_summed_by_project(database: BatchDatabase) -> None:
    def part(name: str, owner: str, project: str, **fields: Any) -> Part:
        return Part(name, owner, 0, "batchGenerateContent", fields.pop("model", "m"), project, **fields)

    ended = batch("c")
    ended.enter("completed", 9)
    with database.transaction() as run:
        save_batch(run, ended)
        for each in (
            part("p", "a", "x", tokens=5, state="sent"), part("q", "b", "x", tokens=7),
            part("r", "other", "y", tokens=2, state="submitting"), part("s", "a", "y", tokens=100, state="done"),
            part("t", "a", "y", tokens=100, model="n"), part("u", "c", "y", tokens=100, state="sent"),
            part("v", "b", "", tokens=100),
        ):  # fmt: skip
            save_part(run, each)

    assert database.queued(part("new", "a", "")) == {"x": 12, "y": 2}
    assert database.queued(part("p", "a", "x")) == {"x": 7, "y": 2}
