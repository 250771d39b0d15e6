"""The console of `gateway demo`: a pool, a ledger and three keys on the emulator, under traffic that never ends."""

import asyncio
import json
import os
import random
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from time import time
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.console.app import Admin
from gateway.console.process import Listener, Process
from gateway.plugin import SERVICES
from gateway.policy.clients.client_rules import Rules
from gateway.server.connection.protocol import Runner
from gateway.server.process.reload import AppSwitcher

_HOST = "127.0.0.1"
"""The console of the demo is for this machine alone."""
_FIRST = 25
"""Requests that are sent at once, so that the first look shows something."""
_BURST_PAUSE = 0.05
"""Seconds between two of these."""
_PAUSE = 1.0
"""Seconds between two requests afterwards, on average."""
_CONFIG = """\
listen: {{host: "{host}", port: {port}}}
upstream: {{base_url: "{upstream}", retry: {{attempts: 2, backoff: 0.05}}}}
drain: 5
"""
_WITH_CONSOLE = """\
admin: {token: {env: DEMO_ADMIN_TOKEN}}
"""
_WITH_POOL = """\
ledger: {{url: "{folder}/ledger.db"}}
pool:
  projects:
    - {{name: blue, keys: [{{env: DEMO_BLUE}}]}}
    - {{name: green, keys: [{{env: DEMO_GREEN}}]}}
models: {{aliases: {{gpt-4o: gemini-2.5-flash}}}}
"""


class _Person(NamedTuple):
    """A holder of a key, and what it asks: prompts in double brackets are commands to the emulator."""

    name: str
    weight: int
    """Share of the traffic."""
    rules: Rules
    prompts: tuple[str, ...]
    model: str = "gpt-4o"
    stream: bool = False


_PEOPLE = (
    _Person(
        "ada", 6, Rules(dollars={"month": 20}),
        ("Write a haiku about rain.", "Explain TLS in a sentence.", "Name three rivers.", "Translate: good morning.",
         "[[slow 3]] Think about it.", "[[chunks 40]] A long story, please.", "[[503]] Hello."),
        stream=True,
    ),
    _Person(
        "ben (trial)", 3, Rules(requests_per_minute=8, dollars={"day": 0.5}),
        ("What is a monad?", "And a functor?", "Thank you."), model="gemini-2.5-flash-lite",
    ),
    _Person(
        "nightly-report", 3, Rules(models=("gemini-*",), tokens={"day": 2_000_000}),
        (*("Summarise: " + f"week {week} of the quarter went well. " * 60 for week in range(20)),
         "[[too long]] All of it.", "[[429]] Once more."),
        model="gemini-2.5-pro",
    ),
)  # fmt: skip


def source(listen: tuple[str, int], upstream: str, folder: str | None) -> Source:
    """Return the configuration. With a folder, it has the console, and a pool and a ledger if SQLAlchemy is there."""
    text = _CONFIG.format(host=listen[0], port=listen[1], upstream=upstream)
    if folder is not None:
        text += _WITH_CONSOLE + f"plugins: {json.dumps(_plugins(folder))}\n"
        text += _WITH_POOL.format(folder=folder) if find_spec("sqlalchemy") is not None else ""
    names = ("DEMO_ADMIN_TOKEN", "DEMO_BLUE", "DEMO_GREEN")
    return Source(text, "demo", {name: secrets.token_urlsafe(12) for name in names})


def _plugins(folder: str) -> dict[str, Any]:
    """Return the shipped plugins, with files and batches kept in the folder, and batches looked at every second."""
    files, batches = {"path": f"{folder}/files"}, {"path": f"{folder}/batches", "poll": 1, "longest_poll": 1}
    return GatewayConfig().plugins | {"files": files, "batches": batches}


@contextmanager
def log_to(file: Path) -> Iterator[None]:
    """Write standard error, which is the log, to a file: a line a second would push the addresses out of sight."""
    before = os.dup(2)
    with file.open("ab") as log:
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


@asynccontextmanager
async def console(switcher: AppSwitcher, base: str) -> AsyncIterator[str]:
    """Serve the console and send traffic. Yield the lines that name the way in."""
    config, started = switcher.config.admin, time()
    process = Process(
        started,
        (Listener("clients", base.removesuffix("/v1")),),
        lambda: (switcher.config, switcher.source, switcher.loaded),
        switcher.check,
        switcher.on_disk,
        switcher.reload,
        lambda: switcher.protocol_factory,
    )
    admin = Admin(lambda: switcher.app[SERVICES], config, process)
    runner = Runner(admin.app())
    await runner.setup()
    clients = switcher.config.listen.port
    port = await _listen(runner, clients and clients + 1)
    url, token = f"http://{_HOST}:{port}", config.token.reveal() if config.token is not None else ""
    traffic = asyncio.create_task(_traffic(base, await _keys(switcher)), name="demo traffic")
    try:
        yield (
            "The operators' console, with traffic of three keys on the emulator:\n\n"
            f"  {url}/console/enter/{admin.ticket()}\n\n"
            f"The address signs you in once, within an hour; later: {url}/ with the token {token}"
        )
    finally:
        traffic.cancel()
        await asyncio.gather(traffic, return_exceptions=True)
        await runner.cleanup()


async def _listen(runner: Runner, port: int) -> int:
    """Listen on a port, or on a free one if it is taken. Return it."""
    try:
        await web.TCPSite(runner, _HOST, port).start()
    except OSError:
        await web.TCPSite(runner, _HOST, 0).start()
    return int(runner.addresses[0][1])


async def _keys(switcher: AppSwitcher) -> Mapping[str, str]:
    """Issue a key to each person, where there is a ledger. Otherwise any text is one."""
    services = switcher.app[SERVICES]
    ledger = services.exchange.accounting.ledger
    if ledger is None:
        return {person.name: f"demo-{number}" for number, person in enumerate(_PEOPLE)}
    from gateway.store.ledger.client_keys import issue

    keys = {
        # store.ledger.Ledger is the only implementation
        person.name: issue(ledger.engine, person.name, person.rules, time(), None, "of the demo")[1]  # type: ignore[attr-defined]
        for person in _PEOPLE
    }
    await services.refresh_keys()
    return keys


async def _traffic(base: str, keys: Mapping[str, str]) -> None:
    """Send requests until cancelled: some at once, then about one in a second."""
    choose = random.Random(7)  # noqa: S311 - the same demo each time
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for number in count():
            (person,) = choose.choices(_PEOPLE, [person.weight for person in _PEOPLE])
            key = "sk-gw-of-nobody" if number % 40 == 20 else keys[person.name]
            group.create_task(_ask(session, base, key, _body(person, choose)))
            await asyncio.sleep(_BURST_PAUSE if number < _FIRST else choose.uniform(0.2, 2 * _PAUSE))


def _body(person: _Person, choose: random.Random) -> dict[str, Any]:
    message = {"role": "user", "content": choose.choice(person.prompts)}
    return {"model": person.model, "messages": [message], "stream": person.stream}


async def _ask(session: aiohttp.ClientSession, base: str, key: str, body: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with suppress(aiohttp.ClientError, TimeoutError):
        async with session.post(f"{base}/chat/completions", json=body, headers=headers) as response:
            await response.read()
