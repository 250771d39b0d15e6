"""Lifespans of plugins: each fault is one line with the plugin's name, at the start, a reload, the end, and a check."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from msgspec import Struct

from gateway.cli.main import main
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.plugin import SERVICES, Plugin
from gateway.server.application import build_app
from tests.support.hooks import install
from tests.support.servers import Serve


class Lively(Plugin):
    """A plugin whose lifespan a test chooses."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        start: str = ""
        end: str = ""

    ends: list[str] = []  # noqa: RUF012

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        if self.config.start == "hang":
            await asyncio.Event().wait()
        if self.config.start:
            raise OSError(self.config.start)
        folder = self.services.folder(self.name)
        (folder / "file").write_text("kept")
        self.services.background(f"{self.name} task", self._work)
        yield
        self.ends.append(f"{self.name} end")
        if self.config.end:
            raise KeyError("a client's text")

    async def _work(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ends.append(f"{self.name} task")


@pytest.fixture(autouse=True)
def lively(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Lively.ends.clear()
    monkeypatch.chdir(tmp_path)
    install(monkeypatch, one=Lively, two=Lively)


async def test_o14_a_failure_at_the_start_is_one_line_with_name_and_place(serve: Serve) -> None:
    with pytest.raises(RuntimeError) as failure:
        await serve('plugins: {one: {start: "no\\n such database"}}')

    text = str(failure.value)
    assert text.startswith("plugin 'one' failed to start: OSError: no such database (")
    assert "test_plugin_life.py" in text
    assert "\n" not in text
    assert failure.value.__cause__ is None


async def test_o14_a_failure_at_the_end_is_logged_and_the_others_end(
    serve: Serve, event_lines: list[dict[str, Any]]
) -> None:
    await serve("plugins: {one: {}, two: {end: fail}}")
    await serve.stop()

    (line,) = event_lines
    assert (line["logger"], line["message"]) == ("gateway.plugins.two", "plugin two failed at its end")
    assert "client" not in line["trace"].replace("clients", "")
    assert Lively.ends == ["one task", "two task", "two end", "one end"]


async def test_o20_each_plugin_has_a_folder_and_tasks_end_before_lifespans(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    await serve("plugins: {one: {}}")
    folder = tmp_path / "state" / "plugins" / "one"

    assert (folder / "file").read_text() == "kept"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert serve.app[SERVICES].statistics.tasks_up == {("one task",): 1}
    await serve.stop()
    assert Lively.ends == ["one task", "one end"]


def config(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "g.yaml"
    file.write_text(text)
    return ["--config", str(file)]


def test_o14_a_deep_check_starts_and_ends_each_plugin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = config(tmp_path, "plugins:\n  one: {}\n  two: {}\n")
    code = main(["check", "--deep", *options])

    assert (code, capsys.readouterr().out) == (0, f"{options[1]}: ok\n")
    assert Lively.ends[-2:] == ["two end", "one end"]
    assert not (tmp_path / "plugins").exists()


def test_o14_a_deep_check_tells_each_plugin_that_fails_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = config(tmp_path, "plugins:\n  one: {start: broken}\n  two: {start: worse}\n  chat: {}\n")

    assert main(["check", *options]) == 0
    notes = capsys.readouterr().err
    assert main(["check", "--deep", *options]) == 78
    first, second = capsys.readouterr().err.removeprefix(notes).splitlines()
    assert first.startswith(f"{options[1]}:2:8: plugin 'one' failed to start: OSError: broken (")
    assert second.startswith(f"{options[1]}:3:8: plugin 'two' failed to start: OSError: worse (")


def test_o14_a_deep_check_does_not_wait_for_ever(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.server.plugin_life._LONGEST_START", 0.05)

    assert main(["check", "--deep", *config(tmp_path, "plugins: {one: {start: hang}}")]) == 78
    assert "plugin 'one' has not started after 0.05 s" in capsys.readouterr().err


def test_o14_serve_says_it_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = config(tmp_path, "plugins: {one: {start: broken}}\nlisten: {port: 0}\n")
    before = signal.getsignal(signal.SIGTERM)
    try:
        code = main(["serve", *options])
    finally:
        signal.signal(signal.SIGTERM, before)
    lines = capfd.readouterr().err.splitlines()

    assert code == 1
    assert len(lines) == 1, lines
    assert lines[0].startswith("plugin 'one' failed to start: OSError: broken (")
    assert os.getcwd() == str(tmp_path)


def test_o22_an_entry_point_with_a_built_in_s_name_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, chat=Lively)

    assert main(["check", *config(tmp_path, "plugins:\n  chat: {}\n")]) == 78
    error = capsys.readouterr().err
    assert ":2:9: the entry point 'chat' of the installed package" in error
    assert "has the name of a built-in plugin" in error


async def test_relative_folders_of_plugins_lie_beside_the_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    (tmp_path / "etc").mkdir()
    text = "plugins: {files: {path: kept}, batches: {path: asked}}\n"
    source = Source(text, str(tmp_path / "etc" / "g.yaml"), {})
    app = build_app(source.decode(GatewayConfig), source)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        batches: Any = app[SERVICES].plugins["batches"]
        assert batches._folder == tmp_path / "etc" / "asked"
        assert (tmp_path / "etc" / "kept" / "files.db").exists()
        assert not (tmp_path / "kept").exists()
    finally:
        await runner.cleanup()
