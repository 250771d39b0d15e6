"""systemd's protocols and the drain."""

import asyncio
import os
import socket
from pathlib import Path

import pytest
from aiohttp import web

from gateway.config.sections import ConnectionsConfig
from gateway.errors import Draining
from gateway.server.connection.protocol import Runner
from gateway.server.process import lifecycle
from gateway.server.process.lifecycle import (
    ENDING,
    Drain,
    drain,
    inherited_sockets,
    keep_watchdog_fed,
    notify,
)
from tests.support.waiting import eventually


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """A socket that receives what systemd would."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(10)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return listener


def test_a_message_reaches_systemd(systemd: socket.socket) -> None:
    with systemd:
        notify("READY=1")
        assert systemd.recv(100) == b"READY=1"


def test_an_abstract_socket_begins_with_an_at(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"gateway-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        listener.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        notify("STOPPING=1")
        assert listener.recv(100) == b"STOPPING=1"


async def test_the_watchdog_is_fed_three_times_in_its_period(systemd: socket.socket) -> None:
    with systemd:
        task = asyncio.create_task(keep_watchdog_fed({"WATCHDOG_USEC": "30000"}, lambda: None, print))
        messages = [await asyncio.to_thread(systemd.recv, 100) for _ in range(3)]
        task.cancel()

    assert messages == [b"WATCHDOG=1"] * 3


async def test_without_a_watchdog_nothing_is_fed() -> None:
    await asyncio.wait_for(keep_watchdog_fed({}, lambda: None, print), 30)


def test_sockets_for_another_process_are_not_taken() -> None:
    assert inherited_sockets({"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "2"}) == ([], [])
    assert inherited_sockets({}) == ([], [])


async def test_requests_left_after_the_drain_are_cancelled() -> None:
    drain = Drain()
    task = asyncio.create_task(asyncio.Event().wait())
    drain.tasks.add(task)
    await asyncio.sleep(0)
    drain.expire()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task

    assert caught.value.args == (Draining.CANCELLED,)


@pytest.mark.row("P31")
async def test_p31_the_watchdog_is_not_fed_while_a_part_is_stuck(systemd: socket.socket) -> None:
    answers: list[str | None] = [None, "the ledger is stuck", "the ledger is stuck", None]
    messages: list[str] = []
    with systemd:
        task = asyncio.create_task(
            keep_watchdog_fed(
                {"WATCHDOG_USEC": "3000"}, lambda: answers.pop(0) if answers else "all is", messages.append
            )
        )
        await eventually(lambda: not answers)
        await eventually(lambda: len(messages) == 2)
        task.cancel()
        systemd.setblocking(False)
        assert [systemd.recv(100), systemd.recv(100)] == [b"WATCHDOG=1"] * 2
        with pytest.raises(BlockingIOError):
            systemd.recv(100)

    assert messages[0] == "watchdog: the ledger is stuck; systemd will restart the gateway"


def test_a_systemd_that_does_not_listen_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nowhere"))
    notify("READY=1")  # raises nothing


async def test_an_idle_connection_is_closed_however_long_others_last(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next request on it would be answered by a configuration that is no longer in use."""
    monkeypatch.setattr(lifecycle, "_IDLE_GRACE", 0.1)
    state, go = Drain(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/long":
            task = asyncio.current_task()
            assert task is not None
            state.tasks.add(task)
            task.add_done_callback(state.tasks.discard)
            await go.wait()
        return web.Response(text=request.path)

    app = web.Application()
    app.router.add_get("/{path}", answer)
    runner = Runner(app, ConnectionsConfig())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    idle, long = [await asyncio.open_connection(*runner.addresses[0]) for _ in range(2)]
    idle[1].write(b"GET /short HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await idle[0].readuntil(b"/short")).startswith(b"HTTP/1.1 200")
    long[1].write(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(lambda: state.tasks)
    draining = asyncio.create_task(drain(runner, runner, state, 30))

    assert await asyncio.wait_for(idle[0].read(), 10) == b""
    assert state.tasks
    go.set()
    assert (await asyncio.wait_for(long[0].read(), 10)).endswith(b"/long")
    await draining
    for _, writer in (idle, long):
        writer.close()
        await writer.wait_closed()
    with systemd:
        assert [systemd.recv(100) for _ in range(2)] == [b"STOPPING=1", f"STATUS={ENDING}".encode()]
