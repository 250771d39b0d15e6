"""`gateway roll`: the order of its steps, and what it leaves behind when one fails."""

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import roll, systemctl
from gateway.cli.main import main
from tests.support.systemctl import Systemctl

ACTIVE = {"state": "active", "since": 5, "status": "serving on a socket of systemd"}


class Machine:
    """A machine with systemd, as far as the command sees it."""

    def __init__(self, folder: Path, **units: dict[str, Any]) -> None:
        self.systemctl = Systemctl(folder / "bin", **units)
        self._units = folder
        self.config = folder / "gateway.yaml"
        self.config.write_text("")

    def roll(self, *arguments: str) -> int:
        return main(["roll", "--config", str(self.config), *arguments])

    def sockets_start(self) -> set[str]:
        """Return the services that the sockets start."""
        files = self._units.glob("*.socket.d/10-gateway-generated.conf")
        return {file.read_text().rpartition("Service=")[2].strip() for file in files}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(systemctl, "UNITS", tmp_path)
    monkeypatch.setattr(roll, "_LOCK", tmp_path / "lock")
    monkeypatch.setattr(roll, "_SYSTEMD", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "nice", lambda _: 0)  # it would stay for all tests
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return tmp_path


def test_o05_the_other_instance_serves_before_the_first_one_ends(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(folder, blue=ACTIVE)

    assert machine.roll() == 0

    assert machine.systemctl.calls() == [
        "daemon-reload",
        "start gateway.socket gateway-admin.socket gateway@green",
        "enable gateway@green",
        "disable gateway@blue",
        "daemon-reload",
        "stop --no-block gateway@blue",
    ]
    assert machine.sockets_start() == {"gateway@green.service"}
    assert "gateway@green serves" in capsys.readouterr().out


def test_o05_with_wait_it_returns_when_the_first_one_has_ended(folder: Path) -> None:
    machine = Machine(folder, green=ACTIVE)

    assert machine.roll("--wait") == 0

    assert machine.systemctl.calls()[-1] == "stop gateway@green"
    assert machine.systemctl.state("blue") == "active"
    assert machine.sockets_start() == {"gateway@blue.service"}


def test_o05_where_none_runs_blue_starts(folder: Path) -> None:
    machine = Machine(folder, blue={"state": "failed"})

    assert machine.roll() == 0

    assert machine.systemctl.calls()[0] == "reset-failed gateway@blue"
    assert machine.systemctl.calls()[-2:] == ["disable gateway@green", "daemon-reload"]


@pytest.mark.parametrize(
    "fault", [{"fails": True}, {"says": "the configuration is faulty"}], ids=["start", "faulty"]
)
def test_o05_a_start_that_fails_leaves_the_first_one_as_it_was(
    folder: Path, capsys: pytest.CaptureFixture[str], fault: dict[str, Any]
) -> None:
    machine = Machine(folder, blue=ACTIVE, green=fault)

    assert machine.roll() == 1

    assert (machine.systemctl.state("blue"), machine.systemctl.state("green")) == ("active", "inactive")
    assert machine.sockets_start() == {"gateway@blue.service"}
    assert not [call for call in machine.systemctl.calls() if call.startswith(("enable", "disable"))]
    message = capsys.readouterr().err
    assert "gateway@green could not take over, and was stopped" in message
    assert "the last line of the log" in message


def test_o05_a_faulty_configuration_starts_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = Machine(folder, blue=ACTIVE)
    machine.config.write_text("modles: {}\n")

    assert machine.roll() == 78

    assert "gateway.yaml:1:1: unknown key 'modles'" in capsys.readouterr().err
    assert not (folder / "bin" / "calls").exists()


def test_o05_an_interrupted_roll_is_completed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = Machine(folder, blue={**ACTIVE, "since": 9}, green=ACTIVE)

    assert machine.roll() == 0

    assert machine.systemctl.calls()[0] == "stop gateway@green"
    assert (machine.systemctl.state("blue"), machine.systemctl.state("green")) == ("deactivating", "active")
    assert "both serve" in capsys.readouterr().out


def test_o05_an_instance_that_still_drains_is_waited_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(folder, blue={"state": "deactivating"}, green=ACTIVE)

    assert machine.roll() == 0

    assert machine.systemctl.calls()[0] == "stop gateway@blue"
    assert "gateway@blue still ends its last requests" in capsys.readouterr().out


def test_o05_an_instance_that_cannot_start_is_replaced(folder: Path) -> None:
    machine = Machine(folder, blue={"state": "activating"})

    assert machine.roll() == 0

    assert machine.systemctl.calls()[-1] == "stop --no-block gateway@blue"


def test_two_rolls_at_once_are_one_too_many(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = Machine(folder, blue=ACTIVE)
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert machine.roll() == 1
    assert "another roll is running" in capsys.readouterr().err


def test_it_needs_root(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert Machine(folder).roll() == 1
    assert "needs root" in capsys.readouterr().err
