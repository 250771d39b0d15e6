"""`gateway alert test`: one message to the webhook."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest

from gateway.cli.main import main


class Hook(BaseHTTPRequestHandler):
    """A webhook that keeps what it gets."""

    received: list[bytes] = []  # noqa: RUF012
    status = 200

    def do_POST(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hook]]:
    handler = type("Kept", (Hook,), {"received": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{server.server_port}/x")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_o20_the_test_message_arrives(
    hook: type[Hook], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("plugins: {alert: {url: {env: HOOK}}}\n")

    assert main(["alert", "test", "--config", str(file)]) == 0
    assert capsys.readouterr().out == "sent\n"
    assert msgspec.json.decode(hook.received[0])["text"].endswith("] This is a test of the gateway's alerts.")
    hook.status = 404
    assert main(["alert", "test", "--config", str(file)]) == 1
    assert "the message was not sent: ClientError: the webhook answered 404" in capsys.readouterr().err


@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nBad Header\r\n\r\n", b"", None])
def test_o20_the_url_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: bytes | None
) -> None:
    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer or b"")

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1] if answer is not None else 1
        monkeypatch.setenv("HOOK", f"http://127.0.0.1:{port}/services/T0/secretpart")
        thread = threading.Thread(target=serve if answer is not None else (lambda: None))
        thread.start()
        file = tmp_path / "g.yaml"
        file.write_text("plugins: {alert: {url: {env: HOOK}}}\n")

        assert main(["alert", "test", "--config", str(file)]) == 1
        thread.join()
    error = capsys.readouterr().err
    assert "the message was not sent: ClientError: the webhook did not answer: " in error
    assert "secretpart" not in error


def test_without_the_plugin_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("plugins: {chat: {}}\n")

    assert main(["alert", "test", "--config", str(file)]) == 1
    assert "has no `plugins.alert`" in capsys.readouterr().err
