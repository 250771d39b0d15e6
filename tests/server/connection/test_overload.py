"""Refusals at the first bytes of a request, over real connections."""

import asyncio
import json
import os
from pathlib import Path

import aiohttp
import pytest

from gateway.plugin import SERVICES
from gateway.policy.load.memory import MemoryAccount
from gateway.policy.load.overload import Overload
from gateway.server.connection.overload import _is_whole, _Refusals, memory_limit, watched_memory
from tests.support.servers import Fake, Serve
from tests.support.waiting import eventually

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"


@pytest.fixture
async def base(serve: Serve, fake: Fake) -> str:
    return await serve("plugins: {chat: {}, models: {}, health: {}}\n", fake.url)


@pytest.fixture
async def overload(serve: Serve, base: str) -> Overload:
    """The state of the running gateway; nothing measures its memory any more."""
    for task in asyncio.all_tasks():
        if task.get_name() == "memory":
            task.cancel()
    return serve.app[SERVICES].metrics.overload


async def converse(base: str, *pieces: bytes) -> bytes:
    """Send pieces on one connection, and return what comes back until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.01)
    data = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return data


def statuses(data: bytes) -> list[int]:
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.row("P21")
async def test_p21_an_overloaded_gateway_refuses_in_openai_s_words_and_stays_connected(
    base: str, overload: Overload, http: aiohttp.ClientSession
) -> None:
    body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}]}
    async with http.post(f"{base}/v1/chat/completions", json=body) as response:
        assert response.status == 200
    overload.memory_share = 0.93
    connections, error = set(), None
    for _ in range(3):
        async with (
            aiohttp.ClientSession(headers=http.headers) as fresh,
            fresh.post(f"{base}/v1/chat/completions", json=body) as response,
        ):
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            error = (await response.json())["error"]
            connections.add(response.headers.get("Connection"))
    async with http.get(f"{base}/v1/models/gemini-2.5-flash") as response:
        assert response.status == 200
    overload.memory_share = 0.0
    async with http.post(f"{base}/v1/chat/completions", json=body) as response:
        assert response.status == 200

    assert error == {
        "message": "The gateway is overloaded. Please try again later.",
        "type": "server_error",
        "param": None,
        "code": "gateway_overloaded",
    }
    assert connections == {"close"}
    assert overload.refused == {"memory": 3}


@pytest.mark.row("P21")
async def test_p21_health_is_answered_whatever_the_load(
    base: str, overload: Overload, http: aiohttp.ClientSession
) -> None:
    overload.memory_share = 1.0
    found = []
    for path in ("/healthz", "/readyz", "/v1/models", "/unknown"):
        async with http.get(base + path) as response:
            found.append(response.status)

    assert found == [200, 200, 503, 503]


async def test_refused_requests_keep_their_order_on_one_connection(
    base: str, overload: Overload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.policy.load.overload._AT_ONCE", 0)
    overload._busy_until, overload._at_once = float("inf"), 0
    request = HEAD + b"Content-Length: 2\r\n\r\n{}"
    last = HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"

    assert statuses(await converse(base, request, request, request, last)) == [503] * 4
    assert overload.refused == {"loop": 4}


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"Content-Length: 50000\r\n\r\n{", b" " * 49999],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n"],
        [HEAD[:20], HEAD[20:] + b"Content-Length: 2\r\n\r\n{}"],
        [HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"],
        [HEAD + b"Content-Length: 2\r\n\r\n{}" + HEAD],
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"],
    ],
)
async def test_a_refused_request_that_is_not_whole_ends_its_connection(
    base: str, overload: Overload, pieces: list[bytes]
) -> None:
    overload.memory_share = 1.0
    data = await converse(base, *pieces)

    assert statuses(data) == [503]
    assert b"\r\nConnection: close\r\n" in data
    assert json.loads(data.partition(b"\r\n\r\n")[2])["error"]["code"] == "gateway_overloaded"


async def test_the_body_of_a_request_that_has_begun_is_no_new_request(base: str, overload: Overload) -> None:
    body = json.dumps(
        {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x" * 1000}]}
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
    writer.write(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:500])
    await asyncio.sleep(0.05)
    overload.memory_share = 1.0
    writer.write(body[500:])
    data = await asyncio.wait_for(reader.read(), 20)
    writer.close()

    assert statuses(data) == [200]


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (HEAD + b"Content-Length: 2\r\n\r\n{}", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", True),
        (HEAD + b"Content-Length: 2\r\n\r\n{", False),
        (HEAD + b"Content-Length: 2\r\n\r\n{}{", False),
        (HEAD + b"Content-Length: +2\r\n\r\n{}", False),
        (HEAD + b"CONNECTION: Close\r\nContent-Length: 2\r\n\r\n{}", False),
        (HEAD + b"transfer-encoding: chunked\r\nContent-Length: 2\r\n\r\n{}", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (HEAD, False),
    ],
)
def test_a_connection_stays_open_only_after_one_plain_request(data: bytes, whole: bool) -> None:
    assert _is_whole(data) is whole


@pytest.mark.row("P21")
async def test_p21_the_share_of_memory_follows_the_process() -> None:
    overload, account = Overload(), MemoryAccount(10**8)
    async with watched_memory(overload, account):
        await eventually(lambda: overload.base_memory)
        assert not overload.closes_connections
        account.open().admit(20_000_000)
        ballast = b"x" * 10**8
        await eventually(lambda: overload.closes_connections)
        del ballast
        await eventually(lambda: not overload.closes_connections)


@pytest.mark.row("P21")
async def test_p21_connections_close_after_their_answers_while_memory_is_short(
    base: str, overload: Overload, http: aiohttp.ClientSession
) -> None:
    overload.memory_share = 0.86
    async with http.get(f"{base}/healthz") as response:
        assert response.headers["Connection"] == "close"
    overload.memory_share = 0.84
    async with http.get(f"{base}/healthz") as response:
        assert "Connection" not in response.headers


@pytest.mark.row("A5", "P21")
async def test_a05_what_the_stores_hold_is_left_out() -> None:
    overload, account = Overload(), MemoryAccount(10**8)
    account.open().admit(20_000_000)
    stored = 0
    async with watched_memory(overload, account, lambda: stored):
        await eventually(lambda: overload.base_memory)
        stored = 10**8
        ballast = b"x" * 10**8
        await eventually(
            lambda: overload.stored_memory and overload.resident_memory - overload.base_memory > 9e7
        )
        assert not overload.closes_connections
        del ballast


@pytest.mark.row("P21")
def test_p21_refusals_are_logged_once_a_minute_with_the_figures(caplog: pytest.LogCaptureFixture) -> None:
    """A gateway that refused everything said nothing about it in the log."""
    overload, account = Overload(), MemoryAccount(4 * 10**8)
    refusals = _Refusals(overload, account)
    refusals.report(0.0)
    account.open().admit(3 * 10**8)
    overload.measure(6 * 10**7, 0, account)
    overload.measure(5 * 10**8, 10**7, account)
    for now in (1.0, 1.25, 30.0, 61.5, 200.0):
        if now < 50:
            overload.refusal(now, has_body=True)
        refusals.report(now)

    first, second = [record.getMessage() for record in caplog.records]
    assert first.startswith(
        "overload: 1 requests refused for memory, 0 for the event loop; memory share 1.07: process 500 MB of 0, 60 MB"
        " at its start, stores 10 MB, retained 0 MB; requests hold 300 MB of 400, unsent 0 MB"
    )
    assert second.startswith("overload: 2 requests refused for memory")


@pytest.mark.row("A5", "P21")
@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"a/b/memory.max": "650", "a/b/memory.high": "500"}, 500),
        ({"a/b/memory.max": "max", "a/memory.max": "700", "memory.max": "9000"}, 700),
        ({"a/b/memory.max": "max", "a/b/memory.high": "odd"}, None),
        ({}, None),
    ],
)
def test_a05_the_limit_is_of_the_control_group_or_one_above_it(
    tmp_path: Path, limits: dict[str, str], expected: int | None
) -> None:
    own, root = tmp_path / "cgroup", tmp_path / "root"
    own.write_text("1:name=x:/y\n0::/a/b\n")
    (root / "a" / "b").mkdir(parents=True)
    for name, text in limits.items():
        (root / name).write_text(text + "\n")
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    assert memory_limit(str(own), str(root)) == (expected or machine)
    assert memory_limit(str(tmp_path / "none"), str(root)) == machine
