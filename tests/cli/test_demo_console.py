"""The console of `gateway demo`."""

import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.cli import demo, demo_console
from gateway.cli.main import main
from gateway.config.sections import GatewayConfig


def test_the_demo_has_a_pool_and_a_ledger_of_its_own(tmp_path: Path) -> None:
    config = demo_console.with_console(GatewayConfig(), tmp_path, "hush")

    assert [project.name for project in config.pool.projects] == ["blue", "green"]
    assert config.ledger.url == str(tmp_path / "ledger.db")
    assert list(config.admin.secrets())
    assert demo_console.is_available()


class Visitor:
    """Opens the console that the demo has printed, in place of waiting for a signal."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.rows: list[dict[str, Any]] = []

    async def wait(self) -> None:
        """Wait until the demo's own requests are in the console."""
        shown = self._capsys.readouterr().out
        url, token = re.findall(r"(http://127\.0\.0\.1:\d+)/\n  token: (\S+)", shown)[0]
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
            while len(self.rows) < 3:
                await asyncio.sleep(0.01)
                async with session.get(f"{url}/admin/requests") as response:
                    self.rows = (await response.json())["data"]


def test_the_demo_prints_a_console_that_is_alive(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Visitor(capsys)
    monkeypatch.setattr(demo, "stop_signal", lambda: visitor)
    monkeypatch.setattr(demo_console, "_PAUSE", 0)

    assert main(["demo", "--listen", "127.0.0.1:0"]) == 0
    assert {"ada", "build-bot", "trial"} & {row.get("key_name") for row in visitor.rows}


def test_without_the_ledgers_library_the_demo_has_no_console(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped:
        async def wait(self) -> None:
            """Stop at once."""

    monkeypatch.setattr(demo, "stop_signal", Stopped)
    monkeypatch.setattr(demo_console, "find_spec", lambda _: None)

    assert main(["demo", "--listen", "127.0.0.1:0"]) == 0
    assert "console" not in capsys.readouterr().out
