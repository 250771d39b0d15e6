"""Paths behind nginx with the shipped site: it changes no path, hides the metrics, and lets a handshake be refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.server.application import build_app
from tests.support.nginx import DOMAIN, Nginx, in_front_of, needs_nginx

pytestmark = [needs_nginx, pytest.mark.slow]


@pytest.fixture
async def nginx(tmp_path: Path) -> AsyncIterator[Nginx]:
    source = Source(
        "plugins: {responses: {}, messages: {}, native: {}, metrics: {}, hello: {}}", "test.yaml", {}
    )
    async for running in in_front_of(build_app(source.decode(GatewayConfig), source), tmp_path):
        yield running


async def ask(nginx: Nginx, head: str, **headers: str) -> bytes:
    lines = [
        f"{head} HTTP/1.1",
        f"Host: {DOMAIN}",
        *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items()),
    ]
    return await nginx.send(("\r\n".join(lines) + "\r\n\r\n").encode(), seconds=1)


@pytest.mark.row("G9")
@pytest.mark.parametrize(
    ("path", "status"), [("/v1/responses", 101), ("//v1//responses/", 101), ("/v1/v1/messages", 426)]
)
async def test_g09_a_websocket_behind_nginx_is_opened_where_there_is_one(
    nginx: Nginx, path: str, status: int
) -> None:
    fields = {"Connection": "Upgrade", "Authorization": "Bearer k", "Sec_WebSocket_Version": "13",
              "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    answer = await ask(nginx, f"GET {path}", Upgrade="websocket", **fields)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert (b"upgrade: websocket" in answer.lower()) == (status == 101)
    assert (b"send the request with HTTP POST" in answer) == (status == 426)
    other = await ask(nginx, f"GET {path}", Upgrade="h2c", **fields)
    assert other.startswith(b"HTTP/1.1 405 ")
    assert (await ask(nginx, f"GET {path}", Connection="close")).startswith(b"HTTP/1.1 405 ")


@pytest.mark.row("G11")
@pytest.mark.parametrize(
    "path", ["/metrics", "//metrics", "/metrics/", "/v1/../metrics", "/v1/metrics", "/api//metrics", "/%6detrics", "/./metrics"]
)  # fmt: skip
async def test_g11_no_spelling_gets_at_the_metrics(nginx: Nginx, path: str) -> None:
    answer = await ask(nginx, f"GET {path}", Connection="close")
    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))
    assert b"gateway_" not in answer


@pytest.mark.row("G24")
async def test_g24_the_websockets_of_the_live_api_are_404_in_googles_shape(nginx: Nginx) -> None:
    path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    answer = await ask(nginx, f"GET {path}", Connection="Upgrade", Upgrade="websocket")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b'"status":"NOT_FOUND"' in answer
