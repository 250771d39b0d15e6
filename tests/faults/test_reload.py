"""SIGHUP with configurations that are wrong, missing or changed under load."""

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.support.gateway_process import Gateway, config, ready, reloaded
from tests.support.servers import Fake

BODY = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}]}


async def ended(gateway: Gateway) -> str:
    """End the gateway, and return what it wrote on standard error."""
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    _, message = await asyncio.to_thread(gateway.process.communicate, None, 20)
    assert gateway.process.returncode == 0
    return str(message.decode())


async def serves(http: aiohttp.ClientSession, base: str) -> None:
    async with http.post(f"{base}/v1/chat/completions", json=BODY) as response:
        assert response.status == 200


@pytest.fixture
async def gateway(start: list[Gateway], tmp_path: Path, fake: Fake) -> Gateway:
    gateway = Gateway(tmp_path, config(fake.url))
    start.append(gateway)
    return gateway


@pytest.mark.row("P06")
async def test_p06_reloads_under_load_lose_nothing(
    gateway: Gateway, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    base = await ready(gateway)
    text = (tmp_path / "gateway.yaml").read_text()
    done = asyncio.Event()
    answered = 0

    async def ask() -> None:
        nonlocal answered
        async with aiohttp.ClientSession(headers=http.headers) as own:
            while not done.is_set():
                await serves(own, base)
                answered += 1

    tasks = [asyncio.create_task(ask()) for _ in range(8)]
    for number in range(5):
        (tmp_path / "gateway.yaml").write_text(f"{text}limits: {{choices: {number + 2}}}\n")
        await reloaded(gateway)
    done.set()
    await asyncio.gather(*tasks)

    assert answered > 10
    assert (await ended(gateway)).count("reload: done") == 5
