"""The console of `gateway demo`: the way in, and the traffic that it shows."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.cli import demo, demo_console
from gateway.cli.demo_console import log_to, source
from gateway.cli.main import main
from gateway.config.sections import GatewayConfig
from tests.support.waiting import eventually


def test_the_configuration_has_a_console_where_the_demo_serves_on(tmp_path: Path) -> None:
    whole = source(("127.0.0.1", 0), "http://127.0.0.1:1", str(tmp_path)).decode(GatewayConfig)
    once = source(("::", 0), "http://127.0.0.1:1", None).decode(GatewayConfig)

    assert [project.name for project in whole.pool.projects] == ["blue", "green"]
    assert whole.ledger.url == f"{tmp_path}/ledger.db"
    assert whole.admin.token is not None
    assert whole.plugins.keys() == once.plugins.keys()
    assert (whole.plugins["files"], whole.plugins["batches"]["path"]) == (
        {"path": f"{tmp_path}/files"},
        f"{tmp_path}/batches",
    )
    assert (once.listen.host, once.pool.projects, once.admin.token) == ("::", (), None)


def test_the_log_goes_to_a_file_for_a_while(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with log_to(tmp_path / "log"):
        os.write(2, b"within\n")
    os.write(2, b"after\n")

    assert (tmp_path / "log").read_text() == "within\n"
    assert capfd.readouterr().err == "after\n"


class Visitor:
    """Opens the link that the demo has printed, in place of waiting for a signal."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.shown = ""
        self.summary: dict[str, Any] = {}
        self.names: set[str] = set()
        self.second = 0
        """Status of the overview for a second browser with the same link."""
        self.log = b""

    async def wait(self) -> None:
        """Look around until requests were answered and others refused."""
        self.shown = self._capsys.readouterr().out
        link = re.findall(r"http://127\.0\.0\.1:\d+/console/enter/\S+", self.shown)[0]
        base = link.partition("/console/")[0]
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            async with session.get(link) as page:
                assert "<title>" in await page.text()
            while not self.summary or not (
                self.summary["now"]["refused"] and self.summary["series"]["ok"][-1]
            ):
                await asyncio.sleep(0.01)
                async with session.get(f"{base}/admin/summary") as answer:
                    self.summary = await answer.json()
            async with session.get(f"{base}/admin/requests") as answer:
                self.names = {row["key_name"] for row in (await answer.json())["data"]}
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as other,
            other.get(link),
            other.get(f"{base}/admin/summary") as answer,
        ):
            self.second = answer.status
        log = Path(re.findall(r"The log is (\S+)\.\n", self.shown)[0])
        await eventually(log.read_bytes)  # a thread writes it
        self.log = log.read_bytes()


@pytest.fixture
def visitor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Visitor:
    visitor = Visitor(capsys)
    monkeypatch.setattr(demo, "stop_signal", lambda: visitor)
    monkeypatch.setattr(demo_console, "_BURST_PAUSE", 0)
    return visitor


def test_the_printed_link_signs_in_once_and_the_console_is_alive(visitor: Visitor) -> None:
    assert main(["demo", "--listen", "127.0.0.1:0"]) == 0

    assert {"ada", "ben (trial)", "nightly-report"} & visitor.names
    assert visitor.summary["dollars"] is not None
    assert visitor.second == 401
    assert b'"event":"exchange"' in visitor.log


def test_without_the_ledgers_library_the_console_shows_what_there_is(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_console, "find_spec", lambda _: None)

    assert main(["demo", "--listen", "127.0.0.1:0"]) == 0
    assert {need["code"] for need in visitor.summary["needs"]} >= {"no_ledger", "no_pool"}
