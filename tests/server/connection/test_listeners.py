"""Listening sockets."""

import errno
import socket
import stat
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateway.config.admin import AdminConfig
from gateway.config.sections import ListenConfig
from gateway.server.connection.listeners import in_turn, listen, listen_admin, refusal
from gateway.server.connection.protocol import Runner


@pytest.mark.parametrize(
    ("error", "config", "message"),
    [
        (OSError(errno.EADDRINUSE, "Address already in use"), ListenConfig(port=9),
         "port 9 on 127.0.0.1 is in use by another program: stop it, or choose another port with --listen 127.0.0.1:PORT"),
        (OSError(errno.EACCES, "Permission denied"), ListenConfig(port=9), "Permission denied"),
        (OSError(errno.EADDRINUSE, "Address already in use"), ListenConfig(unix="/x"), "Address already in use"),
        (OSError("odd"), ListenConfig(), "odd"),
    ],
)  # fmt: skip
def test_the_error_for_a_refused_address_has_a_remedy(
    error: OSError, config: ListenConfig, message: str
) -> None:
    assert refusal(error, config) == message


async def test_an_ipv6_address_is_shown_in_brackets() -> None:
    runner = Runner(web.Application())
    await runner.setup()
    try:
        shown = await listen(runner, ListenConfig(host="::1", port=0), [])
    except OSError:
        pytest.skip("no IPv6 here")
    finally:
        await runner.cleanup()

    assert shown.startswith("http://[::1]:")


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="admin")


def app() -> web.Application:
    application = web.Application()
    application.router.add_get("/", hello)
    return application


async def test_without_an_address_there_is_no_admin_listener() -> None:
    assert await listen_admin(app(), AdminConfig(), []) is None


async def test_the_admin_socket_is_for_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    runner = await listen_admin(app(), AdminConfig(unix=str(path), port=1), [])
    assert runner is not None
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("http://x/") as response,
    ):
        assert await response.text() == "admin"
    mode = stat.S_IMODE(path.stat().st_mode)
    await runner.cleanup()

    assert mode == 0o660


async def test_an_inherited_socket_takes_the_place_of_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        port = inherited.getsockname()[1]
        runner = await listen_admin(app(), AdminConfig(unix="/nowhere/at/all.sock"), [inherited.dup()])
        assert runner is not None
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
            assert await response.text() == "admin"
        await runner.cleanup()


async def test_a_burst_of_connections_is_left_to_other_instances_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first connection, and one that comes alone, are accepted at once."""
    now, pauses = 0.0, list[float]()
    monkeypatch.setattr("gateway.server.connection.listeners.monotonic", lambda: now)
    monkeypatch.setattr("gateway.server.connection.listeners.sleep", pauses.append)
    new = in_turn(object)
    for pause in (0.0, 0.00005, 0.00005, 0.001, 0.00005):
        now += pause
        new()

    assert len(pauses) == 3


async def test_only_an_inherited_socket_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[object] = []

    def noted(new: object) -> object:
        shared.append(new)
        return new

    monkeypatch.setattr("gateway.server.connection.listeners.in_turn", noted)
    for inherited in ([], [socket.create_server(("127.0.0.1", 0))]):
        runner = Runner(app())
        await runner.setup()
        await listen(runner, ListenConfig(port=0), inherited)
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
            assert await response.text() == "admin"
        assert len(shared) == len(inherited)
        await runner.cleanup()
