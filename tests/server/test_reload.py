"""Reload by SIGHUP: the new configuration applies as a whole or not at all; requests in progress continue."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp

from tests.server.test_serving import BODY, EVENT, Gateway, config, ready, start  # noqa: F401 - `start` is a fixture
from tests.support.servers import RawUpstream, chunked

END = b'data: {"candidates":[{"content":{"parts":[{"text":"z"}]},"finishReason":"STOP"}]}\r\n\r\n'


async def ask(http: aiohttp.ClientSession, base: str, model: str) -> tuple[int, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": "x"}], "stream": True}
    async with http.post(f"{base}/v1/chat/completions", json=body) as response:
        return response.status, await response.text()


async def reloaded(gateway: Gateway) -> None:
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGHUP)
    await gateway.notified("RELOADING=1")
    await gateway.notified("READY=1")


async def test_a_reload_changes_what_is_new_and_keeps_what_runs(
    start: list[Gateway],  # noqa: F811
    tmp_path: Path,
    http: aiohttp.ClientSession,
    raw_upstream: RawUpstream,
) -> None:
    whole = [*chunked(EVENT, END), b"0\r\n\r\n"]
    raw_upstream.scripts = [[*chunked(EVENT), None], whole]
    text = config(raw_upstream.url) + "models: {unknown: reject}\n"
    gateway = Gateway(tmp_path, text)
    start.append(gateway)
    base = await ready(gateway)
    async with http.post(
        f"{base}/v1/chat/completions", json={**BODY, "model": "gemini-2.5-flash"}
    ) as streaming:
        assert b"data:" in await streaming.content.readline()
        assert (await ask(http, base, "gpt-4o"))[0] == 404

        (tmp_path / "gateway.yaml").write_text(text + "modles: {}\n")
        await reloaded(gateway)
        async with aiohttp.ClientSession(headers=http.headers) as fresh:
            assert (await ask(fresh, base, "gpt-4o"))[0] == 404  # a bad file changes nothing

        (tmp_path / "gateway.yaml").write_text(text.replace("reject", "default") + "limits: {choices: 3}\n")
        await reloaded(gateway)
        async with aiohttp.ClientSession(headers=http.headers) as fresh:
            assert (await ask(fresh, base, "gpt-4o"))[0] == 200
        assert (await ask(http, base, "gpt-4o"))[0] in (
            200,
            404,
        )  # its connection is the old application's, once
        assert (await ask(http, base, "gpt-4o"))[0] == 200
        assert not streaming.content.at_eof()  # the stream of before goes on
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    _, message = await asyncio.to_thread(gateway.process.communicate, None, 20)

    assert gateway.process.returncode == 0
    words = message.decode()
    assert "reload: nothing was changed" in words
    assert "gateway.yaml:5:1: unknown key 'modles' in the file; did you mean 'models'?" in words
    assert "reload: done\n  models.unknown: 'reject' -> 'default'\n  limits.choices: 8 -> 3\n" in words


async def test_what_listens_needs_a_restart_and_what_is_as_it_was_does_not(
    start: list[Gateway],  # noqa: F811
    tmp_path: Path,
) -> None:
    text = config("http://127.0.0.1:9")
    gateway = Gateway(tmp_path, text)
    start.append(gateway)
    await ready(gateway)
    for changed in (text + "admin: {port: 1}\n", text):
        (tmp_path / "gateway.yaml").write_text(changed)
        await reloaded(gateway)
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    _, message = await asyncio.to_thread(gateway.process.communicate, None, 20)

    first, second = message.decode().split("reload: done")[1:]
    assert "admin.port needs a restart" in first
    assert "needs a restart" not in second
