"""P01–P09, P20, P35–P40: signals, configurations and environments of the process `gateway serve`."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.support.gateway_process import EVENT, Gateway, config, ready, reloaded
from tests.support.paths import ROOT
from tests.support.servers import Fake, RawUpstream, chunked
from tests.support.waiting import eventually

CHAT = "/v1/chat/completions"
UNARY = {"messages": [{"role": "user", "content": "hello"}]}
STREAM = {**UNARY, "stream": True}
END = b'data: {"candidates":[{"content":{"parts":[{"text":"z"}]},"finishReason":"STOP"}]}\r\n\r\n'


async def ended(gateway: Gateway) -> int:
    assert gateway.process is not None
    return await asyncio.to_thread(gateway.process.wait, 20)


@pytest.mark.row("P01")
async def test_p01_sigterm_while_idle(start: list[Gateway], tmp_path: Path, fake: Fake) -> None:
    gateway = Gateway(tmp_path, config(fake.url))
    start.append(gateway)
    await ready(gateway)
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    await gateway.notified("STOPPING=1")

    assert await ended(gateway) == 0


@pytest.mark.row("P02")
async def test_p02_sigterm_with_requests_and_streams(
    start: list[Gateway],
    tmp_path: Path,
    http: aiohttp.ClientSession,
    raw_upstream: RawUpstream,
) -> None:
    begun = 12
    raw_upstream.scripts = [[*chunked(EVENT), *[b""] * 5, *chunked(END)[1:], b"0\r\n\r\n"]] * begun
    gateway = Gateway(tmp_path, config(raw_upstream.url))
    start.append(gateway)
    base = await ready(gateway)

    async def ask(body: dict[str, object]) -> str:
        async with http.post(base + CHAT, json=body) as response:
            assert response.status == 200
            return await response.text()

    asking = [asyncio.create_task(ask(STREAM)) for _ in range(begun)]
    await eventually(lambda: len(raw_upstream.requests) == begun)
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)

    assert all(text.endswith("data: [DONE]\n\n") for text in await asyncio.gather(*asking))
    assert await ended(gateway) == 0


BAD = [
    "modles: {}", "limits: {body: much}", "limits: {body: -1}", "limits: {body: 5", "a: b: c", "\tlimits: {}", "- x",
    "limits: {body: 4096, body: 8192}", "pool: {projects: [{name: a, keys: [{env: MISSING}]}]}",
    "pool: {projects: [{name: a, keys: [{credential: missing}]}]}", "pool: {projects: [{name: a, keys: []}]}",
    "pool: {projects: [{name: A_B, keys: [{env: KEY}]}]}", "pool: {projects: [{name: a, keys: [{env: EMPTY}]}]}",
    "admin: {port: 99999}", "plugins: {chta: {}}", "plugins: {chat: {x: 1}}", "upstream: {base_url: 'ftp://x'}",
    "abilities: {gemini-*: {thinknig: true}}", "models: {prefixes: [5]}", "x: &a [&b [*a]]",
    "a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]",
    "x: !!python/object/apply:os.system ['id']", "\x00", "limits: [1]",
]  # fmt: skip


@pytest.mark.row("P07")
async def test_p07_sighup_with_bad_configurations(
    start: list[Gateway],
    tmp_path: Path,
    http: aiohttp.ClientSession,
    fake: Fake,
) -> None:
    gateway = Gateway(tmp_path, config(fake.url) + "models: {unknown: reject}\n")
    start.append(gateway)
    base = await ready(gateway)
    for text in BAD:
        (tmp_path / "gateway.yaml").write_text(text)
        await reloaded(gateway)
        async with http.post(base + CHAT, json={**UNARY, "model": "gpt-4o"}) as response:
            assert response.status == 404, "the old configuration stays"
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    _, errors = await asyncio.to_thread(gateway.process.communicate)

    assert errors.decode().count("reload: nothing was changed") == len(BAD)
    assert b"Traceback" not in errors


@pytest.mark.row("P08")
async def test_p08_a_file_that_cannot_be_read(
    start: list[Gateway],
    tmp_path: Path,
    http: aiohttp.ClientSession,
    fake: Fake,
) -> None:
    gateway = Gateway(tmp_path, config(fake.url))
    start.append(gateway)
    base = await ready(gateway)
    file = tmp_path / "gateway.yaml"

    def large() -> None:
        file.rmdir()
        with file.open("wb") as stream:
            stream.truncate(2**30)

    for change in (file.unlink, file.mkdir, large):
        change()
        await reloaded(gateway)
        async with http.post(base + CHAT, json=UNARY) as response:
            assert response.status == 200
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    _, errors = await asyncio.to_thread(gateway.process.communicate)

    assert errors.decode().count("reload: nothing was changed") == 3
    assert b"Traceback" not in errors


@pytest.mark.row("P09")
@pytest.mark.parametrize("text", ["listen: {port: 0}\nmodles: {}", "listen: {port: 0}\nlimits: {body: much}"])
async def test_p09_a_start_with_a_bad_configuration(start: list[Gateway], tmp_path: Path, text: str) -> None:
    gateway = Gateway(tmp_path, text)
    start.append(gateway)
    process = gateway.start()
    _, errors = await asyncio.to_thread(process.communicate)

    assert process.returncode == 78
    assert f"{tmp_path / 'gateway.yaml'}:2:".encode() in errors
    assert b"serving" not in errors


@pytest.mark.row("P20")
async def test_p20_no_descriptors_are_left(
    start: list[Gateway],
    tmp_path: Path,
    http: aiohttp.ClientSession,
    raw_upstream: RawUpstream,
) -> None:
    go_on = asyncio.Event()
    raw_upstream.scripts = [[*chunked(EVENT), go_on, *chunked(END)[1:], b"0\r\n\r\n"]]
    gateway = Gateway(tmp_path, config(raw_upstream.url))
    start.append(gateway)
    base = await ready(gateway)
    assert gateway.process is not None
    host, _, port = base.removeprefix("http://").rpartition(":")
    async with http.post(base + CHAT, json=STREAM) as streaming:
        await streaming.content.readuntil(b'"content":"a"')
        open_now = len(os.listdir(f"/proc/{gateway.process.pid}/fd"))
        resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (open_now + 3, open_now + 3))
        waiting = [await asyncio.open_connection(host, int(port)) for _ in range(20)]
        go_on.set()
        assert (await streaming.text()).endswith("data: [DONE]\n\n")
    for _, writer in waiting:
        writer.close()
    async with http.get(base + "/healthz", timeout=aiohttp.ClientTimeout(10)) as response:
        assert response.status == 200


@pytest.mark.row("P20")
async def test_p20_a_call_without_a_descriptor_is_a_503_and_logged(
    start: list[Gateway],
    tmp_path: Path,
    http: aiohttp.ClientSession,
    raw_upstream: RawUpstream,
) -> None:
    gateway = Gateway(tmp_path, config(raw_upstream.url))
    start.append(gateway)
    base = await ready(gateway)
    assert gateway.process is not None
    async with http.get(base + "/healthz") as response:
        assert response.status == 200
    open_now = len(os.listdir(f"/proc/{gateway.process.pid}/fd"))
    resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (open_now, open_now))
    async with http.post(base + CHAT, json=STREAM) as response:
        assert response.status == 503
        assert (await response.json())["error"]["code"] == "gateway_overloaded"
        assert response.headers["retry-after"] == "2"
    gateway.process.terminate()
    _, errors = await asyncio.to_thread(gateway.process.communicate)
    assert errors.count(b"LimitNOFILE") == 1


@pytest.mark.row("P35", "P36")
async def test_p35_p36_credentials_are_read_at_a_reload_and_trimmed(
    start: list[Gateway],
    tmp_path: Path,
    raw_upstream: RawUpstream,
) -> None:
    (tmp_path / "gemini").write_bytes(b"\xef\xbb\xbf AQ.first-key \r\n")
    gateway = Gateway(
        tmp_path,
        config(raw_upstream.url)
        + f"ledger: {{url: {tmp_path}/ledger.db}}\npool: {{projects: [{{name: a, keys: [{{credential: gemini}}]}}]}}\n",
    )
    gateway.environ["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    start.append(gateway)
    base = await ready(gateway)
    command = [
        sys.executable,
        "-m",
        "gateway",
        "keys",
        "add",
        "x",
        "--config",
        str(tmp_path / "gateway.yaml"),
    ]
    issued = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env=gateway.environ
    )
    key = next(word for word in issued.stdout.split() if word.startswith("sk-gw-"))

    async def keys_sent(count: int) -> list[str]:
        raw_upstream.scripts += [[*chunked(END), b"0\r\n\r\n"]]
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client,
            client.post(base + CHAT, json=STREAM) as response,
        ):
            assert response.status == 200, await response.text()
        lines = [line for request in raw_upstream.requests for line in request.split(b"\r\n")]
        sent = [line.decode() for line in lines if line.lower().startswith(b"x-goog-api-key")]
        assert len(sent) == count
        return [line.partition(": ")[2] for line in sent]

    await reloaded(gateway)  # it knows the new key
    assert await keys_sent(1) == ["AQ.first-key"]
    (tmp_path / "gemini").write_bytes(b"AQ.second-key\n")
    await reloaded(gateway)
    assert await keys_sent(2) == ["AQ.first-key", "AQ.second-key"]
    (tmp_path / "gemini").write_bytes(b" \r\n")
    await reloaded(gateway)
    assert await keys_sent(3) == ["AQ.first-key", "AQ.second-key", "AQ.second-key"]


ENVIRONMENTS: dict[str, dict[str, str]] = {
    "C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "POSIX locale": {"LC_ALL": "POSIX", "LANG": "nonsense"},
    "odd time zone": {"TZ": "Asia/Kathmandu"},
    "no such time zone": {"TZ": ":/nowhere"},
}


@pytest.mark.row("P40")
@pytest.mark.parametrize("environ", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
async def test_p40_environments(
    start: list[Gateway],
    tmp_path: Path,
    http: aiohttp.ClientSession,
    fake: Fake,
    environ: dict[str, str],
) -> None:
    gateway = Gateway(tmp_path, config(fake.url))
    kept = {name: gateway.environ[name] for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "PATH")}
    gateway.environ = {**kept, **environ}  # without HOME
    start.append(gateway)
    old = os.umask(0)
    try:
        base = await ready(gateway)
    finally:
        os.umask(old)
    async with http.post(
        base + CHAT, json={"messages": [{"role": "user", "content": "héllo 世界 🎉"}]}
    ) as response:
        assert response.status == 200


@pytest.mark.slow
@pytest.mark.row("P39")
@pytest.mark.parametrize(
    "options", [["-O"], ["-OO"], ["-X", "dev"], ["-bb", "-W", "error::ResourceWarning"]], ids=" ".join
)
async def test_p39_modes_of_python(
    start: list[Gateway],
    tmp_path: Path,
    http: aiohttp.ClientSession,
    fake: Fake,
    options: list[str],
) -> None:
    gateway = Gateway(tmp_path, config(fake.url))
    gateway.options = options
    gateway.environ |= {"PYTHONASYNCIODEBUG": "1", "PYTHONFAULTHANDLER": "1"}
    start.append(gateway)
    base = await ready(gateway)
    for body in (UNARY, STREAM):
        async with http.post(base + CHAT, json=body) as response:
            assert response.status == 200
            await response.read()
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    _, errors = await asyncio.to_thread(gateway.process.communicate)

    assert gateway.process.returncode == 0
    assert [word for word in (b"Warning", b"Traceback", b"never") if word in errors] == [], errors.decode()
