"""Files of captured requests: for their owner alone, and deleted by age and size."""

import os
from pathlib import Path

import pytest

from gateway.plugins.capture import files
from gateway.plugins.capture.record import Captured

DAY = 86_400.0
NOW = 1_900_000_000.0


def record(name: str = "req_1", at: float = NOW, **fields: object) -> Captured:
    return Captured(name, at, "POST", "/v1/chat/completions", "chat", "carl", **fields)  # type: ignore[arg-type]


def test_o20_a_file_is_its_owner_s_and_can_be_read_again(tmp_path: Path) -> None:
    written = record(request={"model": "m"}, answer=[{"text": "é"}])
    path = files.write(tmp_path, written)

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.name == "2030-03-17"
    assert files.read(path) == written
    with pytest.raises(FileExistsError):
        files.write(tmp_path, written)


def test_o20_the_newest_file_of_an_id_is_found(tmp_path: Path) -> None:
    for at in (NOW, NOW + 1, NOW + DAY):
        files.write(tmp_path, record(at=at))
    last = files.write(tmp_path, record(at=NOW + 2 * DAY))
    files.write(tmp_path, record("other-req_1", at=NOW + 3 * DAY))

    assert files.find(tmp_path, "req_1") == last
    assert files.find(tmp_path, "../req_1") is None
    assert files.find(tmp_path / "nowhere", "req_1") is None


def test_o20_old_files_and_the_oldest_of_too_many_are_deleted(tmp_path: Path) -> None:
    paths = []
    for day in range(5):
        path = files.write(tmp_path, record(at=NOW + day * DAY, request="x" * 1000))
        os.utime(path, (NOW + day * DAY, NOW + day * DAY))
        paths.append(path)
    size = paths[0].stat().st_size

    assert files.prune(tmp_path, NOW + DAY, 10 * size) == 1
    assert files.prune(tmp_path, NOW + DAY, 2 * size) == 2
    assert [path.exists() for path in paths] == [False, False, False, True, True]
    assert len(list(tmp_path.iterdir())) == 2  # days without files are gone


def test_another_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="is no captured request"):
        files.read(path)
