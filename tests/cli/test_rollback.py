"""`gateway rollback`: which version it rolls to."""

import os
import sys
from pathlib import Path

import pytest

from gateway.cli.main import main


class Prefix:
    """Installed versions, of which one runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, name: str, at: int | None) -> Path:
        """Install a version at a time; None: its installation was not completed."""
        version = self._folder / name
        script = version / "share/gateway/systemd/activate.sh"
        script.parent.mkdir(parents=True)
        script.write_text('echo "$0" >>"${0%%/share/*}/../activated"\n')
        if at is not None:
            (version / "installed").touch()
            os.utime(version / "installed", (at, at))
        return version

    def activated(self) -> list[str]:
        """Return the versions that were put into service."""
        file = self._folder / "activated"
        return [Path(line).parents[3].name for line in file.read_text().split()] if file.exists() else []


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prefix:
    result = Prefix(tmp_path)
    result.add("0.1.0-aaa", 100)
    result.add("0.2.0-bbb", 300)
    result.add("0.3.0-ccc", 200)
    result.add("0.4.0-ddd", None)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "0.2.0-bbb"))
    return result


def test_o19_the_version_installed_before_is_put_into_service(prefix: Prefix) -> None:
    assert main(["rollback"]) == 0
    assert prefix.activated() == ["0.3.0-ccc"]


def test_o19_from_there_it_goes_further_back(
    prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "0.1.0-aaa"))

    assert main(["rollback"]) == 1
    assert (
        "no installed version served before 0.1.0-aaa: name one; there are: 0.2.0-bbb, 0.3.0-ccc, 0.1.0-aaa"
        in capsys.readouterr().err
    )
    assert main(["rollback", "0.2.0-bbb"]) == 0
    assert prefix.activated() == ["0.2.0-bbb"]


def test_o19_a_version_that_is_not_there_is_named(prefix: Prefix, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollback", "0.4.0-ddd"]) == 1
    assert "0.4.0-ddd is not installed" in capsys.readouterr().err
    assert prefix.activated() == []


def test_o19_versions_are_listed(prefix: Prefix, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollback", "--list"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["*", "0.2.0-bbb"],
        ["<", "0.3.0-ccc"],
        ["0.1.0-aaa", "1970-01-01"],
    ]


def test_another_installation_has_another_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))

    assert main(["rollback"]) == 1
    assert "was not installed by `make install`" in capsys.readouterr().err


def test_o19_the_version_that_served_before_not_the_one_that_was_rejected(
    prefix: Prefix, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From 0.1.0 to 0.3.0, which was rolled back from, and to 0.2.0, which serves."""
    (tmp_path / "0.3.0-ccc" / "before").write_text("0.1.0-aaa\n")
    (tmp_path / "0.2.0-bbb" / "before").write_text("0.1.0-aaa\n")

    assert main(["rollback", "--list"]) == 0
    marks = [line[0] for line in capsys.readouterr().out.splitlines()]
    assert marks == ["*", " ", "<"]
    assert main(["rollback"]) == 0
    assert prefix.activated() == ["0.1.0-aaa"]


@pytest.mark.parametrize("before", ["\n", "0.0.9-gone\n"])
def test_o19_nothing_served_before_or_it_is_no_longer_there(
    prefix: Prefix, tmp_path: Path, capsys: pytest.CaptureFixture[str], before: str
) -> None:
    (tmp_path / "0.2.0-bbb" / "before").write_text(before)

    assert main(["rollback"]) == 1
    assert "no installed version served before 0.2.0-bbb: name one; there are: " in capsys.readouterr().err
    assert prefix.activated() == []
