"""Whether a gateway answers at a URL."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gateway.cli.connect.probe import complaint


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_path = self.path == "/v1/models"
        is_key = self.headers.get("Authorization") == "Bearer good"
        self.send_response(404 if not is_path else 200 if is_key else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_gateway_that_answers_is_no_complaint(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # not for this machine

    assert complaint(url, "good") == ""


def test_a_key_that_is_refused_is_named(url: str) -> None:
    assert complaint(url, "bad") == f"{url} refuses the key (401)"


def test_another_server_is_named(url: str) -> None:
    assert "answers 404: is this the gateway's URL?" in complaint(f"{url}/other", "good")


def test_nothing_that_listens_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert complaint(url, "good") == f"{url} does not answer: Connection refused"


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n"])
def test_what_speaks_no_http_is_named(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        text = complaint(f"http://127.0.0.1:{server.getsockname()[1]}", "good")
        thread.join()
    assert "does not answer" in text


def test_silence_has_an_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        text = complaint(f"http://127.0.0.1:{server.getsockname()[1]}", "good", seconds=0.05)
    assert "does not answer: timed out" in text
