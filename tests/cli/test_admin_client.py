"""Requests of the admin API from a command, over both kinds of listener."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.cli import admin_client
from gateway.cli.admin_client import post
from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret


@pytest.fixture
async def listener(tmp_path: Path) -> Any:
    """A listener on a port and on a Unix socket, which answers the project `a` only."""

    async def answer(request: web.Request) -> web.Response:
        if request.headers["Authorization"] != "Bearer hush":
            return web.Response(status=401, text="no")
        project = (await request.json())["project"]
        if project == "a":
            return web.json_response({"done": True})
        return web.json_response({"error": {"message": f"There is no project {project}."}}, status=404)

    app = web.Application()
    app.router.add_post("/admin/pool/put_back", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await web.UnixSite(runner, str(tmp_path / "admin.sock")).start()
    yield runner.addresses[0][1], str(tmp_path / "admin.sock")
    await runner.cleanup()


async def put_back(project: str = "a", token: str | None = "hush", **admin: Any) -> str | None:
    config = AdminConfig(token=Secret(token) if token else None, **admin)
    return await asyncio.to_thread(post, config, "/admin/pool/put_back", {"project": project})


async def test_it_is_sent_to_the_port_the_socket_or_the_services_own(
    listener: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port, path = listener

    assert await put_back(port=port) is None
    assert await put_back(unix=path) is None
    monkeypatch.setattr(admin_client, "SYSTEMD_SOCKET", path)
    assert await put_back() is None
    monkeypatch.setattr(admin_client, "SYSTEMD_SOCKET", str(tmp_path / "none"))
    assert await put_back() == "there is no admin listener: set admin.port or admin.unix"


async def test_a_failure_is_told(listener: Any, tmp_path: Path) -> None:
    port, _ = listener

    assert await put_back("b", port=port) == "There is no project b."
    assert await put_back(token="other", port=port) == "the gateway answered 401"
    assert await put_back(token=None, port=port) == "the admin API is disabled: set admin.token"
    fault = await put_back(unix=str(tmp_path / "none"))
    assert fault is not None
    assert fault.startswith("the gateway does not answer: ")
