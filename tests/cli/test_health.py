"""`gateway health`: the listener that it asks, and the answers that it takes for good."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from gateway.cli import health
from gateway.cli.main import main


class Listener:
    """A gateway's `/readyz` with an answer to choose, on a port and on a Unix socket."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "gateway.sock")
        self.port = 0
        self.answer: tuple[int, str] = (200, '{"status": "ready"}')

    async def ready(self, _: web.Request) -> web.Response:
        status, text = self.answer
        return web.Response(status=status, text=text)


@pytest.fixture
async def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listener]:
    monkeypatch.setattr(health, "_SYSTEMD_SOCKET", tmp_path / "none")
    result = Listener(tmp_path)
    app = web.Application()
    app.router.add_get("/readyz", result.ready)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await web.UnixSite(runner, result.path).start()
    result.port = runner.addresses[0][1]
    yield result
    await runner.cleanup()


async def ask(folder: Path, yaml: str, *arguments: str) -> int:
    """Run the command with a configuration."""
    (folder / "health.yaml").write_text(yaml)
    return await asyncio.to_thread(main, ["health", "--config", str(folder / "health.yaml"), *arguments])


async def test_it_asks_the_configured_listener(
    listener: Listener, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ask(tmp_path, f"listen: {{host: 0.0.0.0, port: {listener.port}}}") == 0
    assert capsys.readouterr().out == f"127.0.0.1:{listener.port}: ready\n"
    assert await ask(tmp_path, f"listen: {{unix: {listener.path}}}") == 0
    assert await ask(tmp_path, "", "--listen", f"127.0.0.1:{listener.port}") == 0


async def test_it_asks_the_socket_of_systemd_where_the_port_is_closed(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(health, "_SYSTEMD_SOCKET", Path(listener.path))

    assert await ask(tmp_path, f"listen: {{port: {port}}}") == 0
    assert await ask(tmp_path, "", "--listen", f"127.0.0.1:{port}") == 1


@pytest.mark.parametrize(
    ("status", "text", "message"),
    [
        (503, '{"status": "draining"}', "answers 503: draining"),
        (500, "<html>", "answers 500: Internal Server Error"),
        (404, "{}", "answers 404: Not Found"),
    ],
)
async def test_any_other_answer_is_a_failure(
    listener: Listener,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    status: int,
    text: str,
    message: str,
) -> None:
    listener.answer = status, text

    assert await ask(tmp_path, f"listen: {{port: {listener.port}}}") == 1
    assert capsys.readouterr().err == f"gateway health: 127.0.0.1:{listener.port} {message}\n"


async def test_without_the_plugin_an_answer_is_enough(listener: Listener, tmp_path: Path) -> None:
    listener.answer = 404, "{}"

    assert await ask(tmp_path, f"listen: {{port: {listener.port}}}\nplugins: {{chat: {{}}}}") == 0


async def test_no_answer_is_a_failure(
    listener: Listener, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ask(tmp_path, f"listen: {{unix: {tmp_path}/closed.sock}}") == 1
    assert "closed.sock does not answer: " in capsys.readouterr().err
