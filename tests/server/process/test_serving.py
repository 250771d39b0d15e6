"""The process of `gateway serve`: readiness, sockets, drain, exit codes."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from gateway.cli.main import main
from gateway.config.model_table import model_table
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.policy.models.successors import timestamp
from gateway.server.process.serving import log_table_age, say_where
from gateway.server.process.stand_in import ServingLock
from tests.observability.test_console import fill
from tests.support.gateway_process import BODY, EVENT, Gateway, config, ready
from tests.support.paths import ROOT
from tests.support.servers import RawUpstream, chunked
from tests.support.waiting import eventually


@pytest.mark.row("P02", "P03", "P04")
@pytest.mark.parametrize(
    ("drain", "hurry"), [(20, False), (0.2, False), (20, True)], ids=["in time", "too late", "hurried"]
)
async def test_sigterm_lets_a_stream_end_in_time_or_ends_it_with_an_error(
    start: list[Gateway],
    tmp_path: Path,
    http: aiohttp.ClientSession,
    raw_upstream: RawUpstream,
    drain: float,
    hurry: bool,
) -> None:
    gateway = Gateway(tmp_path, config(raw_upstream.url, drain))
    start.append(gateway)
    base = await ready(gateway)
    await gateway.notified("WATCHDOG=1")
    raw_upstream.scripts = [[*chunked(EVENT), None]]
    if not hurry and drain > 1:
        raw_upstream.scripts = [
            [
                *chunked(EVENT),
                *[b""] * 3,
                *chunked(EVENT.replace(b"}}", b'},"finishReason":"STOP"}', 1).replace(b"]}]}", b"]}]}"))[1:],
                b"0\r\n\r\n",
            ]
        ]
    async with http.post(base + "/v1/chat/completions", json=BODY) as response:
        await response.content.readuntil(b'"content":"a"')
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGTERM)
        await gateway.notified("STOPPING=1")
        if hurry:
            gateway.process.send_signal(signal.SIGTERM)
        rest = await response.text()
    code = await asyncio.to_thread(gateway.process.wait, 20)

    assert code == 0
    assert ("[DONE]" in rest) is (drain > 1 and not hurry)
    assert ('"code":"shutting_down"' in rest) is not ("[DONE]" in rest)


async def test_a_stream_that_began_before_the_drain_ends_its_connection(
    start: list[Gateway], tmp_path: Path, raw_upstream: RawUpstream
) -> None:
    """Its head had no `Connection: close`, and the end of the drain would lose the client's next request."""
    gateway = Gateway(tmp_path, config(raw_upstream.url, 20))
    start.append(gateway)
    base = await ready(gateway)
    last = EVENT.replace(b"}}", b'},"finishReason":"STOP"}', 1).replace(b"]}]}", b"]}]}")
    draining = asyncio.Event()
    short = [*chunked(EVENT), draining, *chunked(last)[1:], b"0\r\n\r\n"]
    raw_upstream.scripts = [[*chunked(EVENT), None], short]
    url = URL(base)
    assert url.host is not None
    body = json.dumps(BODY)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/json\r\nAuthorization: Bearer AQ.key\r\n\r\n"
    connections = []
    for _ in raw_upstream.scripts.copy():
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write((head + body).encode())
        await reader.readuntil(b'"content":"a"')
        connections.append((reader, writer))
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    await gateway.notified("STOPPING=1")
    draining.set()
    rest = await asyncio.wait_for(connections[1][0].read(), 20)  # to the end of the connection
    running = gateway.process.poll() is None
    gateway.process.send_signal(signal.SIGTERM)
    for _, writer in connections:
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()

    assert rest.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert running  # the other stream goes on


async def test_a_unary_request_cut_by_the_drain_is_a_503(
    start: list[Gateway], tmp_path: Path, http: aiohttp.ClientSession, raw_upstream: RawUpstream
) -> None:
    gateway = Gateway(tmp_path, config(raw_upstream.url, 0.2))
    start.append(gateway)
    base = await ready(gateway)
    raw_upstream.scripts = [[None]]
    asking = asyncio.create_task(
        http.post(base + "/v1/chat/completions", json={**BODY, "stream": False}).__aenter__()
    )
    await eventually(lambda: raw_upstream.requests)
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    response = await asking

    assert response.status == 503
    assert response.headers["Connection"] == "close"
    assert (await response.json())["error"]["code"] == "shutting_down"


@pytest.mark.row("A28")
async def test_a28_a_full_disk_for_standard_error_does_not_stop_the_start(
    start: list[Gateway], tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    gateway = Gateway(tmp_path, config("http://127.0.0.1:9"))
    start.append(gateway)
    full = os.open("/dev/full", os.O_WRONLY)
    gateway.start(stderr=full)
    os.close(full)
    await serves(gateway, http)


@pytest.mark.row("A28")
async def test_a28_a_closed_standard_error_does_not_stop_the_start(
    start: list[Gateway], tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    gateway = Gateway(tmp_path, config("http://127.0.0.1:9") + f"state: {{file: {tmp_path}/state.db}}\n")
    start.append(gateway)
    gateway.process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, *gateway._arguments],
        env=gateway.environ,
        cwd=ROOT,
    )
    await serves(gateway, http)

    assert os.readlink(f"/proc/{gateway.process.pid}/fd/2") == "/dev/null"  # and no state file


@pytest.mark.row("A28", "P14")
@pytest.mark.parametrize("blocking", [True, False])
async def test_a28_a_pipe_that_is_not_read_gets_the_message_later(
    start: list[Gateway], tmp_path: Path, http: aiohttp.ClientSession, pipe: tuple[int, int], blocking: bool
) -> None:
    filled = fill(pipe[1])
    os.set_blocking(pipe[1], blocking)
    gateway = Gateway(tmp_path, config("http://127.0.0.1:9"))
    start.append(gateway)
    gateway.start(stderr=pipe[1])
    base = await serves(gateway, http)
    text = b""
    while b"serving on" not in text:
        text += await asyncio.to_thread(os.read, pipe[0], 2**20)

    assert text[filled:].startswith(b"{") or text[filled:].startswith(
        f"gateway: serving on {base}\n".encode()
    )


@pytest.mark.row("A10")
async def test_a10_a_corrupt_ledger_ends_the_start_with_78(start: list[Gateway], tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"\xff" * 10_000)
    gateway = Gateway(tmp_path, f"listen: {{port: 0}}\nledger: {{url: {tmp_path}/ledger.db}}\n")
    start.append(gateway)
    _, message = await asyncio.to_thread(gateway.start().communicate, None, 20)

    assert gateway.process is not None
    assert gateway.process.returncode == 78
    assert message.decode().count("\n") == 1
    assert "ledger.db is corrupt" in message.decode()
    assert (tmp_path / "ledger.db").read_bytes() == b"\xff" * 10_000


async def serves(gateway: Gateway, http: aiohttp.ClientSession) -> str:
    """Check that a started gateway answers. Return its base URL."""
    base = (await gateway.notified("READY=1")).rpartition("serving on ")[2]
    async with http.get(f"{base}/healthz") as response:
        assert response.status == 200
    return base


async def test_an_inherited_socket_is_served(
    start: list[Gateway], tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    gateway = Gateway(tmp_path, config("http://127.0.0.1:9"))
    start.append(gateway)
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_server(("127.0.0.1", 0)) as admin,
    ):
        port, admin_port = listening.getsockname()[1], admin.getsockname()[1]
        gateway.start_on(listening, admin)
        assert "systemd" in await gateway.notified("READY=1")
        async with http.get(f"http://127.0.0.1:{port}/healthz") as response:
            assert response.status == 200
        async with http.get(f"http://127.0.0.1:{admin_port}/metrics") as response:
            assert "gateway_in_progress" in await response.text()
        async with http.get(f"http://127.0.0.1:{admin_port}/admin/pool") as response:
            assert response.status == 401  # no admin.token is configured


async def test_o04_a_faulty_file_under_systemd_is_answered_503_and_mended_by_itself(
    start: list[Gateway], tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    good = config("http://127.0.0.1:9")
    gateway = Gateway(tmp_path, good + "modles: {}\n")
    gateway.environ |= {"RUNTIME_DIRECTORY": str(tmp_path), "GATEWAY_LOG": "json"}
    start.append(gateway)
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_server(("127.0.0.1", 0)) as admin,
    ):
        base, admin_port = f"http://127.0.0.1:{listening.getsockname()[1]}", admin.getsockname()[1]
        process = gateway.start_on(listening, admin)
        assert "STATUS=the configuration is faulty" in await gateway.notified("READY=1")
        await gateway.notified("WATCHDOG=1")
        async with http.get(f"{base}/healthz") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
            assert (await response.json())["error"]["code"] == "gateway_misconfigured"

        (tmp_path / "gateway.yaml").write_text(good)
        assert "serving on" in await gateway.notified("STATUS=serving")
        async with http.get(f"{base}/healthz") as response:  # on the same connection
            assert response.status == 200
        async with http.get(f"http://127.0.0.1:{admin_port}/metrics") as response:
            assert response.status == 200
        process.send_signal(signal.SIGTERM)
        _, message = await asyncio.to_thread(process.communicate, None, 20)

    assert process.returncode == 0
    assert "gateway.yaml:4:1: unknown key 'modles'" in message.decode()
    assert "the configuration is faulty: every request is answered 503" in message.decode()
    lines = [json.loads(line) for line in message.splitlines()]
    assert {line["level"] for line in lines if line.get("message") == "reload: done; nothing differs"} == {
        "notice"
    }


async def test_o04_a_store_that_cannot_be_opened_is_answered_503_until_sigterm(
    start: list[Gateway], tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    (tmp_path / "ledger.db").write_bytes(b"\xff" * 10_000)
    gateway = Gateway(tmp_path, f"ledger: {{url: {tmp_path}/ledger.db}}\n")
    start.append(gateway)
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_server(("127.0.0.1", 0)) as admin,
    ):
        process = gateway.start_on(listening, admin)
        await gateway.notified("READY=1")
        async with http.post(f"http://127.0.0.1:{listening.getsockname()[1]}/v1/messages") as response:
            assert response.status == 503
        process.send_signal(signal.SIGTERM)
        _, message = await asyncio.to_thread(process.communicate, None, 20)

    assert process.returncode == 0
    assert "ledger.db is corrupt" in message.decode()


@pytest.mark.parametrize("serves", [True, False])
async def test_o04_beside_an_instance_that_serves_a_faulty_one_does_not_answer(
    start: list[Gateway], tmp_path: Path, serves: bool
) -> None:
    gateway = Gateway(tmp_path, "modles: {}\n")
    gateway.environ["RUNTIME_DIRECTORY"] = str(tmp_path)
    start.append(gateway)
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_server(("127.0.0.1", 0)) as admin,
    ):
        blue = ServingLock(gateway.environ)
        if serves:
            blue.hold()
        process = gateway.start_on(listening, admin)
        if serves:
            _, message = await asyncio.to_thread(process.communicate, None, 20)
            assert process.returncode == 78
            assert "unknown key 'modles'" in message.decode()
        else:
            await gateway.notified("READY=1")
        blue.release()


async def test_o01_reload_asks_the_process_and_fails_with_the_mistake(
    start: list[Gateway], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "gateway_token").write_text("secret")
    text = config("http://127.0.0.1:9") + "admin: {token: {credential: token}}\n"
    gateway = Gateway(tmp_path, text)
    gateway.environ |= {
        "CREDENTIALS_DIRECTORY": str(credentials),
        "GATEWAY_CONTROL": str(tmp_path / "blue.sock"),
    }
    start.append(gateway)
    await ready(gateway)
    monkeypatch.setenv("GATEWAY_CONTROL", str(tmp_path / "blue.sock"))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)  # as in ExecReload=

    async def reload(changed: str) -> tuple[int, str, str]:
        (tmp_path / "gateway.yaml").write_text(changed)
        return await asyncio.to_thread(main, ["reload"]), *capsys.readouterr()

    code, _, err = await reload(text + "modles: {}\n")
    assert code == 78
    assert "reload: nothing was changed" in err
    assert "gateway.yaml:5:1: unknown key 'modles'" in err
    code, out, err = await reload(text + "limits: {choices: 3}\n")
    assert (code, err) == (0, "")
    assert out == "reload: done\n  limits.choices: 8 -> 3\n"
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(gateway.process.wait, 20)
    assert (await reload(text))[0] == 1


async def test_a_unix_socket_is_served(start: list[Gateway], tmp_path: Path) -> None:
    path = tmp_path / "g.sock"
    gateway = Gateway(tmp_path, f"listen: {{unix: '{path}'}}\n")
    start.append(gateway)
    assert await ready(gateway) == str(path)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("http://x/") as response,
    ):
        assert await response.text() == "hello"


def test_an_occupied_port_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "g.yaml").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        codes = [main(["serve", "--config", str(tmp_path / "g.yaml"), "--listen", f"127.0.0.1:{port}"]),
                 main(["demo", "--once", "--listen", f"127.0.0.1:{port}"])]  # fmt: skip

    assert codes == [1, 1]
    lines = capsys.readouterr().err.splitlines()
    assert [f"port {port} on 127.0.0.1 is in use" in line and "--listen" in line for line in lines] == [
        True,
        True,
    ]


def test_a_unix_socket_that_cannot_be_made_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "g.yaml").write_text("listen: {unix: /nowhere/at/all.sock}")

    assert main(["serve", "--config", str(tmp_path / "g.yaml"), "--upstream", "http://127.0.0.1:9"]) == 1
    assert "cannot listen: No such file or directory" in capsys.readouterr().err


@pytest.mark.row("M1")
@pytest.mark.parametrize(("days", "level"), [(0, "INFO"), (60, "INFO"), (61, "WARNING")])
def test_m01_the_age_of_the_table_of_models_is_in_the_log(
    caplog: pytest.LogCaptureFixture, days: int, level: str
) -> None:
    caplog.set_level("INFO", "gateway.models")
    log_table_age(timestamp(model_table().date) + 86_400 * days)

    (record,) = caplog.records
    assert (record.levelname, f"{days} days old" in record.getMessage()) == (level, True)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("ledger.db", "/ledger.db"),
        ("postgresql://gw:hush@/x?host=/run/postgresql", "postgresql://gw@/x?host=/run/postgresql"),
        ("postgresql://db/x?user=gw&password=hush", "postgresql://db/x?user=gw"),
    ],
)
def test_the_start_says_where_the_ledger_is_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, place: str
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "")
    say_where(Source(f"ledger: {{url: '{url}'}}", "g.yaml", {}).decode(GatewayConfig))

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gateway: the ledger is ")
    assert line.endswith(place)
    assert "hush" not in line
