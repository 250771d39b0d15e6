"""The file store's database: pages, and bounds of a client."""

from pathlib import Path

import pytest

from gateway.policy.clients.kept_files import FileLimits, Page
from gateway.store.files.database import FileDatabase, check_room, insert_file


@pytest.fixture
def database(tmp_path: Path) -> FileDatabase:
    database = FileDatabase(tmp_path / "files.db")
    with database.transaction() as run:
        for i, (scope, purpose, expires) in enumerate(
            [("s", "vision", None), ("s", "batch", 50), ("other", "vision", None), ("s", "batch", 200)]
        ):
            insert_file(run, (str(i), scope, 10, "", "a", "", purpose, 1, expires))
    return database


def test_a_page_has_only_a_clients_live_files(database: FileDatabase) -> None:
    def ids(page: Page, now: float = 100.0) -> list[str]:
        return [file.id for file in database.page("s", page, now)]

    assert ids(Page(10)) == ["3", "0"]
    assert ids(Page(10, up=True), 0.0) == ["0", "1", "3"]
    assert ids(Page(10, purpose="batch"), 0.0) == ["3", "1"]
    assert ids(Page(1, beyond=4), 0.0) == ["1"]
    assert ids(Page(10, beyond=1, up=True)) == ["3"]


def test_a_transaction_that_fails_changes_nothing(database: FileDatabase) -> None:
    def fail() -> None:
        with database.transaction() as run:
            run("DELETE FROM file")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert len(database.files("s", ["0", "3"], 100.0)) == 2


@pytest.mark.parametrize(
    ("size", "limits", "fits"),
    [
        (10, FileLimits(99, 30, 3), True),
        (11, FileLimits(99, 30, 3), False),
        (10, FileLimits(99, 30, 2), False),
    ],
)
def test_a_client_has_bounds(database: FileDatabase, size: int, limits: FileLimits, fits: bool) -> None:
    with database.transaction() as run:
        assert (check_room(run, "s", size, limits, 100.0) == "") is fits
