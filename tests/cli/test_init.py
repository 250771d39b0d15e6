"""`gateway init`: the files that it writes, and those that it leaves alone."""

from pathlib import Path

import pytest

from gateway.cli.init import NAMES, SHIPPED
from gateway.cli.main import main
from tests.support.paths import ROOT


def test_o10_init_writes_a_configuration_that_is_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "site"

    assert main(["init", str(folder)]) == 0

    shown = capsys.readouterr()
    assert shown.out.splitlines() == [str(folder / name) for name in NAMES]
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    assert main(["check", "--config", str(folder / "gateway.yaml")]) == 0


def test_o10_init_writes_here_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["init"]) == 0
    assert main(["check"]) == 0


@pytest.mark.parametrize("name", NAMES)
def test_o10_a_file_that_exists_is_left_alone_unless_forced(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine")

    assert main(["init", str(tmp_path)]) == 1
    assert f"nothing was written: {tmp_path / name} exists already; --force" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"
    assert main(["init", str(tmp_path), "--force"]) == 0
    assert (tmp_path / name).read_bytes() == (SHIPPED / name).read_bytes()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")

    assert main(["init", str(tmp_path / "file" / "site")]) == 1
    assert "cannot be written: Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_o10_the_package_ships_the_files_of_the_repository(name: str) -> None:
    folder = ROOT / "config" / ("container" if name == "compose.yaml" else "")

    assert (SHIPPED / name).read_bytes() == (folder / name).read_bytes()
