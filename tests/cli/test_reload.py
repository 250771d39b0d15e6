"""`gateway reload`: what it prints and returns."""

import asyncio
import threading
from functools import partial
from pathlib import Path

import pytest

from gateway.cli import reload
from gateway.cli.main import main
from gateway.server.process.control import Outcome, control

OUTCOMES = {"blue.sock": Outcome(True, "reload: done"), "green.sock": Outcome(False, "g.yaml:1:1: no")}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The service's runtime directory."""
    monkeypatch.setattr(reload, "_FOLDER", tmp_path)
    monkeypatch.delenv("GATEWAY_CONTROL", raising=False)
    return tmp_path


class Served:
    """Control sockets with fixed outcomes, in a thread."""

    def __init__(self, folder: Path, *names: str) -> None:
        self._folder, self._names = folder, names
        self._loop = asyncio.new_event_loop()
        self._ready, self._end = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    async def _serve(self) -> None:
        async def outcome(name: str) -> Outcome:
            return OUTCOMES[name]

        contexts = [control(str(self._folder / name), partial(outcome, name)) for name in self._names]
        for context in contexts:
            await context.__aenter__()
        self._ready.set()
        await self._end.wait()
        for context in contexts:
            await context.__aexit__(None, None, None)

    def __enter__(self) -> None:
        self._thread.start()
        self._ready.wait(10)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        self._loop.close()


def test_o01_without_a_service_it_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reload"]) == 1
    assert "no gateway runs as a service here" in capsys.readouterr().err


def test_o01_one_refusal_of_two_instances_is_a_failure(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Served(folder, "blue.sock", "green.sock"):
        assert main(["reload"]) == 78
    assert capsys.readouterr() == ("reload: done\n", "g.yaml:1:1: no\n")


def test_o01_quietly_only_the_exit_code_tells(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Served(folder, "green.sock"):
        assert main(["reload", "--quiet"]) == 78
    assert capsys.readouterr() == ("", "")


def test_o01_the_socket_of_the_unit_comes_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_CONTROL", str(folder / "blue.sock"))
    with Served(folder, "blue.sock", "green.sock"):
        assert main(["reload"]) == 0
    assert main(["reload"]) == 1
    assert "does not answer on" in capsys.readouterr().err
