"""`capture` in a gateway: what is kept of a request on every surface, and for whom."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from gateway.errors import ConfigError
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


@pytest.mark.parametrize("options", ["parts: []", "parts: [all]", "days: 0", "megabytes: 0", "folder: x"])
async def test_a_mistake_is_told(serve: Serve, options: str) -> None:
    with pytest.raises(ConfigError, match=options.partition(":")[0]):
        await serve(capturing(options))
