"""Reload by SIGHUP: the new configuration applies as a whole or not at all; requests in progress continue."""

import asyncio
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError, Fault
from gateway.plugin import Plugin
from gateway.server.application import build_app
from gateway.server.plugin_loader import BUILT_IN
from gateway.server.process.reload import AppSwitcher
from gateway.store.ledger.tables import open_engine
from tests.server.test_stores import opened_files
from tests.support.gateway_process import BODY, EVENT, Gateway, config, ready, reloaded
from tests.support.servers import RawUpstream, chunked
from tests.support.waiting import eventually

END = b'data: {"candidates":[{"content":{"parts":[{"text":"z"}]},"finishReason":"STOP"}]}\r\n\r\n'


async def ask(http: aiohttp.ClientSession, base: str, model: str) -> tuple[int, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": "x"}], "stream": True}
    async with http.post(f"{base}/v1/chat/completions", json=body) as response:
        return response.status, await response.text()


@pytest.mark.row("P06")
async def test_a_reload_changes_new_requests_and_keeps_running_ones(
    start: list[Gateway],
    tmp_path: Path,
    http: aiohttp.ClientSession,
    raw_upstream: RawUpstream,
) -> None:
    whole = [*chunked(EVENT, END), b"0\r\n\r\n"]
    raw_upstream.scripts = [[*chunked(EVENT), None], whole]
    text = config(raw_upstream.url) + "models: {unknown: reject}\n"
    gateway = Gateway(tmp_path, text)
    start.append(gateway)
    base = await ready(gateway)
    async with http.post(
        f"{base}/v1/chat/completions", json={**BODY, "model": "gemini-2.5-flash"}
    ) as streaming:
        assert b"data:" in await streaming.content.readline()
        assert (await ask(http, base, "gpt-4o"))[0] == 404

        (tmp_path / "gateway.yaml").write_text(text + "modles: {}\n")
        await reloaded(gateway)
        async with aiohttp.ClientSession(headers=http.headers) as fresh:
            assert (await ask(fresh, base, "gpt-4o"))[0] == 404  # a bad file changes nothing

        (tmp_path / "gateway.yaml").write_text(text.replace("reject", "default") + "limits: {choices: 3}\n")
        await reloaded(gateway)
        async with aiohttp.ClientSession(headers=http.headers) as fresh:
            assert (await ask(fresh, base, "gpt-4o"))[0] == 200
        assert (await ask(http, base, "gpt-4o"))[0] == 200  # on a connection of before
        assert not streaming.content.at_eof()  # the stream of before goes on
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    _, message = await asyncio.to_thread(gateway.process.communicate, None, 20)

    assert gateway.process.returncode == 0
    words = message.decode()
    assert "reload: nothing was changed" in words
    assert "gateway.yaml:5:1: unknown key 'modles' in the file; did you mean 'models'?" in words
    assert "reload: done\n  models.unknown: 'reject' -> 'default'\n  limits.choices: 8 -> 3\n" in words


async def test_a_stop_waits_for_a_stream_of_before_a_reload_and_cleans_up_after_it(
    start: list[Gateway], tmp_path: Path, http: aiohttp.ClientSession, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [[*chunked(EVENT), None]]
    text = config(raw_upstream.url, drain=1) + f"ledger: {{url: {tmp_path}/ledger.db}}\n"
    gateway = Gateway(tmp_path, text)
    start.append(gateway)
    base = await ready(gateway)
    async with http.post(f"{base}/v1/chat/completions", json=BODY) as streaming:
        await streaming.content.readline()
        await reloaded(gateway)
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGTERM)
        rest = await streaming.text()
    _, message = await asyncio.to_thread(gateway.process.communicate, None, 20)

    assert "The gateway is restarting" in rest
    assert "Traceback" not in message.decode()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        assert ledger.execute("SELECT outcome FROM attempt").fetchall() == [("cancelled",)]


async def test_changed_sockets_need_a_restart_and_unchanged_ones_do_not(
    start: list[Gateway],
    tmp_path: Path,
) -> None:
    text = config("http://127.0.0.1:9")
    gateway = Gateway(tmp_path, text)
    start.append(gateway)
    await ready(gateway)
    for changed in (text + "admin: {port: 1}\n", text):
        (tmp_path / "gateway.yaml").write_text(changed)
        await reloaded(gateway)
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    _, message = await asyncio.to_thread(gateway.process.communicate, None, 20)

    first, second = message.decode().split("reload: done")[1:]
    assert "admin.port needs a restart" in first
    assert "needs a restart" not in second


class Loader:
    """The configuration as it is read next; an error is raised instead."""

    def __init__(self, text: str) -> None:
        self.result: str | Exception = text

    def __call__(self) -> tuple[GatewayConfig, Source]:
        if isinstance(self.result, Exception):
            raise self.result
        source = Source(
            f"listen: {{port: 0}}\ndrain: 0.1\nlogging: {{exchanges: false}}\n{self.result}", "g.yaml", {}
        )
        return source.decode(GatewayConfig), source


@pytest.fixture
async def switched() -> AsyncIterator[tuple[Loader, AppSwitcher, str]]:
    """A running application, and its base URL."""
    load = Loader("plugins: {hello: {}}\n")
    config, source = load()
    switcher = AppSwitcher(config, build_app(config, source), load)
    yield load, switcher, await switcher.start([])
    await switcher.stop()


async def status(url: str) -> int:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
        session.get(url) as response,
    ):
        return response.status


async def test_a_new_application_answers_new_connections(
    switched: tuple[Loader, AppSwitcher, str], capsys: pytest.CaptureFixture[str]
) -> None:
    load, switcher, base = switched
    assert await status(base + "/other") == 200  # hello answers every path
    load.result = "plugins: {health: {}}\n"
    old = switcher.app

    await switcher.reload()

    assert [await status(base + path) for path in ("/other", "/healthz")] == [404, 200]
    assert switcher.app is not old
    assert list(switcher.config.plugins) == ["health"]
    assert (
        capsys.readouterr().err == "reload: done\n  plugins.health: none -> {}\n  plugins.hello: {} -> none\n"
    )


async def request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> tuple[int, bool]:
    """Return the status of a request on an open connection, and whether the connection stays open."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
    return int(head.split()[1]), b"connection: close" not in head


async def test_o12_idle_connections_get_the_new_application_and_stay_open(
    switched: tuple[Loader, AppSwitcher, str],
) -> None:
    load, switcher, base = switched
    host, port = base.removeprefix("http://").split(":")
    used, fresh = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
    assert await request(*used, "/other") == (200, True)

    load.result = "plugins: {health: {}}\n"
    await switcher.reload()
    await switcher.reload()

    assert await request(*used, "/other") == (404, True)
    assert await request(*fresh, "/healthz") == (200, True)
    assert await request(*used, "/healthz") == (200, True)
    await asyncio.gather(*switcher._draining)
    assert await request(*fresh, "/other") == (404, True)  # the end of the old ones has not closed it
    used[1].close()
    fresh[1].close()


async def test_o12_a_connection_whose_stream_outlives_the_reload_goes_on_with_the_new_application(
    switched: tuple[Loader, AppSwitcher, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load, switcher, base = switched
    monkeypatch.setitem(BUILT_IN, "slow", f"{__name__}:Slow")
    load.result = "plugins: {slow: {}}\n"
    await switcher.reload()
    host, port = base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"1\r\na\r\n")

    load.result = "plugins: {health: {}}\n"
    await switcher.reload()
    Slow.go_on.set()
    await reader.readuntil(b"0\r\n\r\n")

    assert await request(reader, writer, "/healthz") == (200, True)
    writer.close()


class Slow(Plugin):
    """A plugin that streams until it is told to end."""

    go_on = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/slow", self._stream)]

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"a")
        await self.go_on.wait()
        await response.write_eof()
        return response


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (ConfigError((Fault("g.yaml", 1, 1, "no"),)), "reload: nothing was changed\ng.yaml:1:1: no\n"),
        (RuntimeError("driver"), "reload: nothing was changed: RuntimeError: driver\n"),
    ],
)
async def test_a_fault_changes_nothing(
    switched: tuple[Loader, AppSwitcher, str],
    capsys: pytest.CaptureFixture[str],
    fault: Exception,
    message: str,
) -> None:
    load, switcher, base = switched
    config, app = switcher.config, switcher.app
    load.result = fault

    await switcher.reload()

    assert (switcher.config, switcher.app) == (config, app)
    assert await status(base + "/") == 200
    assert capsys.readouterr().err == message


async def test_the_same_configuration_is_loaded_all_the_same(
    switched: tuple[Loader, AppSwitcher, str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, switcher, base = switched
    old = switcher.app

    await switcher.reload()
    await switcher.reload()

    assert switcher.app is not old
    assert await status(base + "/") == 200
    assert capsys.readouterr().err == "reload: done; nothing differs\n" * 2


async def test_changed_sockets_need_a_restart_until_they_are_as_before(
    switched: tuple[Loader, AppSwitcher, str], capsys: pytest.CaptureFixture[str]
) -> None:
    load, switcher, _ = switched
    text = load.result
    for result in (f"{text}admin: {{port: 1}}\n", f"{text}admin: {{port: 1}}\ncompat: strict\n", text):
        load.result = result
        await switcher.reload()

    assert capsys.readouterr().err.splitlines() == [
        "reload: done",
        "  admin.port: none -> 1",
        "  admin.port needs a restart",
        "reload: done",
        "  compat: 'lenient' -> 'strict'",
        "  admin.port needs a restart",
        "reload: done",
        "  compat: 'strict' -> 'lenient'",
        "  admin.port: 1 -> none",
    ]


class Failing(Plugin):
    """A plugin whose lifespan fails."""

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        if self.config is not None:
            raise OSError("no such service")
        yield


FAILING_STARTS = {
    "ledger: {url: 'postgresql://u@127.0.0.1:9/x'}\n": "the ledger cannot be opened",
    "ledger: {url: /nowhere/at/all.db}\n": "the ledger cannot be opened",
    "plugins: {hello: {}, failing: {}}\nledger: {url: {folder}/ledger.db}\n": "plugin 'failing' failed to start",
    "ledger: {url: {folder}/broken.db}\n": "no such table: client_key",
    "state: {file: {folder}/theirs.db}\n": "another program's database",
}
"""What a configuration adds, and what a reload says to it."""


def held() -> tuple[list[str], list[str], list[str]]:
    """Return this process's open files, threads and tasks.

    Threads of the pool that runs blocking calls, and that of the log, which ends with the lines to write, are left out.
    """
    names = [each.name for each in threading.enumerate()]
    threads = sorted(name for name in names if not name.startswith("asyncio_") and "_write_all" not in name)
    return sorted(opened_files()), threads, sorted(task.get_name() for task in asyncio.all_tasks())


@pytest.mark.row("A19")
@pytest.mark.parametrize(("changed", "message"), FAILING_STARTS.items())
async def test_a19_what_a_failed_reload_opened_is_closed(
    switched: tuple[Loader, AppSwitcher, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changed: str,
    message: str,
) -> None:
    load, switcher, base = switched
    monkeypatch.setitem(BUILT_IN, "failing", f"{__name__}:Failing")
    with closing(sqlite3.connect(tmp_path / "theirs.db.pool")) as connection, connection:
        connection.execute("CREATE TABLE theirs (id)")
    open_engine(str(tmp_path / "broken.db"), None).dispose()
    with closing(sqlite3.connect(tmp_path / "broken.db")) as connection, connection:
        connection.execute("DROP TABLE client_key")
    load.result = changed.replace("{folder}", str(tmp_path))
    load.result += "" if "plugins:" in changed else "plugins: {hello: {}}\n"
    load.result += "" if "state:" in changed else f"state: {{file: {tmp_path}/state.db}}\n"
    app = switcher.app
    await switcher.reload()
    before = held()
    for _ in range(20):
        await switcher.reload()

    assert capsys.readouterr().err.count(message) == 21
    assert switcher.app is app
    await eventually(lambda: held() == before)  # a thread that sums the ledger's use may end a moment later
    assert not [path for path in before[0] if str(tmp_path) in path]
    assert await status(base + "/") == 200
