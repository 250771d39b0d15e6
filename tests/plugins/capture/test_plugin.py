"""`capture` in a gateway: what is kept of a request on every surface, and for whom."""

import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import msgspec
import pytest

from gateway.errors import ConfigError
from gateway.plugin import SERVICES
from gateway.plugins.capture import files
from gateway.plugins.capture.record import Captured
from tests.support.fakegem import FakeGem, whole
from tests.support.hooks import SERVED, ask, asked
from tests.support.servers import Serve
from tests.support.surfaces import CHAT, CHAT_STREAM, GENERATING, Surface
from tests.support.waiting import eventually

KEY = "AIza" + "k" * 35


@pytest.fixture
async def gem() -> AsyncIterator[FakeGem]:
    upstream = FakeGem()
    await upstream.start()
    yield upstream
    await upstream.stop()


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return tmp_path / "plugins" / "capture"


def records(folder: Path) -> list[Captured]:
    return [files.read(path) for path in sorted(folder.glob("*/*.json"))]


def capturing(options: str = "") -> str:
    return f"plugins: {{{SERVED}, capture: {{{options}}}}}"


@pytest.mark.parametrize("surface", GENERATING, ids=[f"{s.name}{'-stream' * s.streamed}" for s in GENERATING])
async def test_o20_a_request_is_kept_with_gemini_s_and_the_answer(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, folder: Path, surface: Surface
) -> None:
    base = await serve(capturing(), gem.url)
    reply = await ask(http, base, surface, f"hello {KEY}")
    await serve.stop()
    (record,) = records(folder)

    assert reply.status == 200
    assert record.id == reply.headers["x-request-id"]
    assert record.request == surface.body("hello ****")
    (call,) = record.calls
    assert call["model"] == "gemini-2.5-flash"
    assert call["body"]["contents"][0]["parts"] == [{"text": "hello ****"}]
    assert asked(gem.requests[0])["contents"][0]["parts"] == [{"text": f"hello {KEY}"}]
    assert [choice["text"] for choice in record.answer] == ["fine"]
    assert (record.surface, record.status, record.model) == (surface.name, 200, "gemini-2.5-flash")
    assert record.usage == {"prompt": 10, "completion": 5}
    assert KEY not in str(msgspec.json.encode(record))
    assert "test-key" not in str(msgspec.json.encode(record))


async def test_o20_a_failed_request_is_kept(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, folder: Path
) -> None:
    gem.queue.append(whole({"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}, "400 No"))
    base = await serve(capturing("only_errors: true"), gem.url)
    for surface in (CHAT, CHAT_STREAM):
        await ask(http, base, surface)
    await serve.stop()
    (record,) = records(folder)

    assert (record.status, record.request, record.answer) == (400, CHAT.body("hello"), [])


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ("clients: ['62af*']", True),
        ("clients: [carl]", False),
        ("models: ['gemini-2.5-*']", True),
        ("models: [gemini-3]", False),
    ],
)
async def test_o20_it_is_for_some_clients_and_models(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, folder: Path, options: str, kept: bool
) -> None:
    base = await serve(capturing(options), gem.url)
    await ask(http, base, CHAT)
    await serve.stop()

    assert len(records(folder)) == kept


async def test_o20_only_some_parts_are_kept(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, folder: Path
) -> None:
    base = await serve(capturing("parts: [answer]"), gem.url)
    await ask(http, base, CHAT)
    await serve.stop()
    (record,) = records(folder)

    assert (record.request, record.calls, len(record.answer)) == (None, [], 1)


async def test_o20_old_files_are_deleted_at_the_start(serve: Serve, folder: Path) -> None:
    day = folder / "2020-01-01"
    day.mkdir(parents=True)
    (day / "000000-x.json").write_text("{}")
    os.utime(day / "000000-x.json", (1, 1))
    await serve(capturing("days: 1"))
    await eventually(lambda: not day.exists())


async def test_o20_a_folder_that_cannot_be_written_hurts_nobody(
    http: aiohttp.ClientSession,
    serve: Serve,
    gem: FakeGem,
    monkeypatch: pytest.MonkeyPatch,
    event_lines: list[Any],
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write", full)
    base = await serve(capturing(), gem.url)

    assert (await ask(http, base, CHAT)).status == 200
    await eventually(lambda: event_lines)
    assert "background task capture writer failed: OSError" in event_lines[0]["message"]


async def test_o20_what_waits_is_accounted_for_and_bounded(
    http: aiohttp.ClientSession,
    serve: Serve,
    gem: FakeGem,
    monkeypatch: pytest.MonkeyPatch,
    event_lines: list[Any],
) -> None:
    slow, written = threading.Event(), []

    def write(_: Path, record: Captured) -> None:
        slow.wait(20)
        written.append(record.id)

    monkeypatch.setattr(files, "write", write)
    base = await serve(f"limits: {{memory: 16777216}}\n{capturing()}", gem.url)
    services = serve.app[SERVICES]
    for _ in range(6):
        assert (await ask(http, base, CHAT, "x" * 200_000)).status == 200
    await eventually(lambda: services.statistics.plugin_events["capture", "left out"] > 0)
    left_out = services.statistics.plugin_events["capture", "left out"]

    assert 400_000 <= services.memory.used <= 16777216 // 8
    assert len([line for line in event_lines if "is left out" in line["message"]]) == 1
    assert services.memory.refused == 0
    slow.set()
    await eventually(lambda: len(written) == 6 - left_out)
    await eventually(lambda: services.memory.used == 0)


async def test_o20_a_stop_has_a_deadline(
    http: aiohttp.ClientSession,
    serve: Serve,
    gem: FakeGem,
    monkeypatch: pytest.MonkeyPatch,
    event_lines: list[Any],
) -> None:
    slow = threading.Event()
    monkeypatch.setattr(files, "write", lambda *_: slow.wait(20))
    monkeypatch.setattr("gateway.plugins.capture.plugin._LAST_WRITES", 0.2)
    base = await serve(capturing(), gem.url)
    for _ in range(4):
        await ask(http, base, CHAT)
    begin = monotonic()
    await serve.stop()

    assert monotonic() - begin < 10
    assert any("were not written before the end" in line["message"] for line in event_lines)
    slow.set()


@pytest.mark.parametrize("options", ["parts: []", "parts: [all]", "days: 0", "megabytes: 0", "folder: x"])
async def test_a_mistake_is_told(serve: Serve, options: str) -> None:
    with pytest.raises(ConfigError, match=options.partition(":")[0]):
        await serve(capturing(options))
