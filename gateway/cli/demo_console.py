"""The console of `gateway demo`: a pool, a ledger, three issued keys, and requests that fill the pages."""

import asyncio
from contextlib import suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from time import time
from typing import Any

import aiohttp
from aiohttp import web
from msgspec.structs import replace

from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret
from gateway.config.sections import GatewayConfig, LedgerSection, PoolSection, ProjectConfig
from gateway.config.source import Source
from gateway.console.app import Admin
from gateway.console.process import Listener, Process
from gateway.plugin import SERVICES

_KEYS: dict[str, dict[str, Any]] = {
    "ada": {"dollars": {"month": 20}},
    "build-bot": {"requests_per_minute": 8},
    "trial": {"dollars": {"total": 1}, "models": ["gemini-*"]},
}
"""Name and rules of each key that the demo issues."""
_PROMPTS = (
    "Say hello.", "What is the weather in Rome?", "Write a long poem about the sea, please. " * 9, "Say hello.",
    "[[503]] Are you there?", "Say hello.", "[[slow 2]] Think about it.", "Write about Rome. " * 20, "[[500]] Hello?",
    "Say hello.", "What is the weather in Oslo?", "[[429]] Once more?", "Say hello.", "[[too long]]",
)  # fmt: skip
_MODELS = ("gemini-flash-latest", "gemini-2.5-flash", "gemini-2.5-pro")
_PAUSE = 1.5
"""Seconds between two requests."""


def is_available() -> bool:
    """Return whether the ledger's library is installed."""
    return find_spec("sqlalchemy") is not None


def with_console(config: GatewayConfig, folder: Path, token: str) -> GatewayConfig:
    """Return the configuration with a pool of two projects, a ledger in a folder, and an admin token."""
    projects = tuple(ProjectConfig(name, (Secret(f"AQ.demo-{name}"),)) for name in ("blue", "green"))
    return replace(
        config,
        pool=PoolSection(projects=projects),
        ledger=LedgerSection(url=str(folder / "ledger.db")),
        admin=AdminConfig(Secret(token)),
    )


async def serve_console(
    app: web.Application, config: GatewayConfig, clients: str, port: int
) -> web.AppRunner:
    """Serve the console on a port of 127.0.0.1, or on a free one if it is taken."""
    started = time()
    process = Process(
        started, (Listener("clients", clients),), lambda: (config, Source("", "demo"), started)
    )  # fmt: skip
    runner = web.AppRunner(Admin(lambda: app[SERVICES], config.admin, process).app(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OSError:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


async def keep_busy(base: str, console: str, token: str) -> None:
    """Issue the keys, then send requests with them until it is cancelled."""
    async with aiohttp.ClientSession() as session:
        keys = [await _issue(session, console, token, name, rules) for name, rules in _KEYS.items()]
        for number in count():
            with suppress(aiohttp.ClientError):
                await _ask(session, base, keys[number % 3], number)
            await asyncio.sleep(_PAUSE)


async def _issue(
    session: aiohttp.ClientSession, console: str, token: str, name: str, rules: dict[str, Any]
) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    async with session.post(
        f"{console}/admin/keys", json={"name": name, "rules": rules}, headers=headers
    ) as response:
        response.raise_for_status()
        return str((await response.json())["key"])


async def _ask(session: aiohttp.ClientSession, base: str, key: str, number: int) -> None:
    """Send one request, and read its answer whatever it is."""
    body = {
        "model": _MODELS[number // 2 % 3],
        "messages": [{"role": "user", "content": _PROMPTS[number % 14]}],
        "stream": number % 2 == 0,
    }
    headers = {"Authorization": f"Bearer {key}"}
    async with session.post(f"{base}/chat/completions", json=body, headers=headers) as response:
        await response.read()
