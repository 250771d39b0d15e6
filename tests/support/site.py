"""A gateway with a pool, a ledger and an issued key in front of `FakeGem`, and the conditions that survive every fault."""

import asyncio
import base64
import os
import urllib.parse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import sqlalchemy as sa
from aiohttp import web

from gateway.plugin import SERVICES, Services
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import attempt, open_engine
from tests.support.fakegem import FakeGem
from tests.support.servers import Serve
from tests.support.surfaces import CHAT, CHAT_STREAM, Reply, Surface, assert_whole

_RETURN = 5.0
"""Seconds until everything that a request held is free again."""
_SLACK = 2
"""Descriptors and tasks that may be more or fewer."""
_ALL = Rules()
_RUN = 8
"""Characters of a secret in a row that count as a leak."""


class WatchedServe(Serve):
    """`Serve` that notes what each application holds when it has started."""

    def __init__(self) -> None:
        super().__init__()
        self.baseline: tuple[int, int] | None = None
        """Descriptors and tasks after the last start."""
        self.site: Site | None = None

    async def text(self, text: str) -> str:
        base = await super().text(text)
        self.baseline = held()
        return base


class Site:
    """The gateway under test: `await site.start()`, then `await site.ask(CHAT)`."""

    def __init__(self, serve: WatchedServe, folder: Path, upstream: FakeGem) -> None:
        token = os.urandom(15).hex()
        self.keys = [f"AQ.Ab8canary{name}{token}" for name in "xyz"]
        """Google's keys of the pool, which nothing may show."""
        serve.environ = {f"KEY_{number}": key for number, key in enumerate(self.keys)}
        self.upstream = upstream
        self.serve = serve
        serve.site = self
        self.base = ""
        self.key = ""
        self._id = ""
        self.resent = 0
        """Requests that the upstream read and the gateway sent again on another connection, as one call."""
        self.replies: list[Reply] = []
        """All that clients received."""
        self._file = folder / "ledger.db"
        self._folder = folder
        self._http: aiohttp.ClientSession | None = None

    @property
    def services(self) -> Services:
        return self.serve.app[SERVICES]

    async def start(
        self,
        url: str | None = None,
        *,
        connect: float = 30,
        idle: float = 30,
        total: float = 60,
        upstream: str = "",
        retry: str = "backoff: 0",
        more: str = "",
        state: str = "machines: 1",
        rules: Rules = _ALL,
    ) -> None:
        """Serve with short timeouts where a test names them, and issue a key. `state` and `more` are YAML."""
        self._issue(rules)
        projects = ", ".join(f"{{name: p{n}, keys: [{{env: KEY_{n}}}]}}" for n in range(len(self.keys)))
        self.base = await self.serve.text(
            f"upstream: {{base_url: '{url or self.upstream.url}', retry: {{{retry}}},"
            f" timeouts: {{connect: {connect}, idle: {idle}, total: {total}}}{upstream}}}\n"
            f"pool: {{projects: [{projects}]}}\n"
            f"ledger: {{url: {self._file}}}\nstate: {{file: {self._folder}/state.db, {state}}}\n{more}"
        )
        # A busy machine makes this loop late, and overload is not the fault that these tests make.
        setattr(self.services.metrics.overload, "turn_ended", lambda *_: None)  # noqa: B010 - a method, for mypy

    def _issue(self, rules: Rules) -> None:
        engine = open_engine(str(self._file), None)
        self._id, self.key = client_keys.issue(engine, "x", rules, time(), None)
        engine.dispose()

    async def issue(self) -> None:
        """Use another key from now on, without limits."""
        self._issue(_ALL)
        await self.services.refresh_keys()

    async def revoke(self) -> None:
        """Revoke the key."""
        engine = open_engine(str(self._file), None)
        client_keys.revoke(engine, self._id, time())
        engine.dispose()
        await self.services.refresh_keys()

    async def ask(self, surface: Surface = CHAT, text: str = "hello", **fields: Any) -> Reply:
        """Return the reply to one request, from its first byte to the end."""
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=aiohttp.ClientTimeout(30)
            )
        name = "x-goog-api-key" if surface.name == "native" else "Authorization"
        value = self.key if surface.name == "native" else f"Bearer {self.key}"
        async with self._http.post(
            self.base + surface.path, json=surface.body(text, **fields), headers={name: value}
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            reply = Reply(surface, response.status, headers, await response.read())
        self.replies.append(reply)
        return reply

    def rows(self) -> list[Any]:
        """Return the ledger's rows, one for each call of the upstream."""
        engine = open_engine(str(self._file), None)
        with engine.connect() as connection:
            result = connection.execute(sa.select(attempt).order_by(attempt.c.at)).all()
        engine.dispose()
        return list(result)

    async def outcomes(self) -> list[str]:
        """Return how each call of the upstream ended, once all are settled."""
        await _in_time(lambda: [f"{row.id} is open" for row in self.rows() if row.ended is None])
        return [row.outcome for row in self.rows()]

    async def check(self) -> None:
        """Check that the next requests are answered, that nothing is held, and that the ledger is right."""
        await self.upstream.heal()
        try:
            for surface in (CHAT, CHAT_STREAM):
                assert_whole(await self.ask(surface))
        finally:
            await self.leave()
        outcomes = await self.outcomes()
        assert outcomes[-2:] == ["ok", "ok"], outcomes
        # A request that is cancelled while its row is being written makes no call.
        not_made = len(outcomes) - sum(self.services.statistics.calls.values())
        assert 0 <= not_made <= outcomes.count("cancelled")
        assert len(outcomes) >= len(self.upstream.requests) - self.resent, "a call of the upstream has no row"

    async def leave(self) -> None:
        """Close the connections of the client, and those of the upstream that are idle."""
        if self._http is not None:
            await self._http.close()
            self._http = None
        self.upstream.end_idle()

    def traces(self, log: bytes) -> list[str]:
        """Return the sinks that show a key of the pool or of the client."""
        answers = b"".join(b"%r" % reply.headers + reply.body for reply in self.replies)
        files = b"".join(path.read_bytes() for path in self._folder.glob("ledger.db*"))
        sinks = {"log": log, "answers": answers, "ledger": files}
        return [name for name, data in sinks.items() for key in (*self.keys, self.key) if shows(data, key)]


def shows(data: bytes, secret: str) -> bool:
    """Return whether data contains a run of a secret's random half: plain, URL-encoded or in base64."""
    tail = secret[len(secret) // 2 :]
    runs = {tail[start : start + _RUN] for start in range(len(tail) - _RUN + 1)}
    encoded = {base64.b64encode(secret[start:].encode()).decode()[4:24] for start in range(3)}
    return any(run.encode() in data for run in (*runs, *encoded, urllib.parse.quote(secret)))


def held() -> tuple[int, int]:
    """Return the descriptors of this process and the tasks of this loop.

    SQLite's files are left out: the refresh of issued keys opens and closes a connection of its own.
    """
    descriptors = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the listing itself
            descriptors += ".db" not in os.readlink(f"/proc/self/fd/{name}")
    return descriptors, len(asyncio.all_tasks())


def still_held(app: web.Application, baseline: tuple[int, int]) -> list[str]:
    """Return what an application holds that it did not when it had started."""
    services = app[SERVICES]
    pool = services.metrics.pool
    counts = {
        "requests in progress": services.admission.in_progress,
        "running handlers": len(services.running),
        "leases of keys": len(pool._open),
        "bytes of memory": services.memory.used + services.memory.unsent,
        "calls in flight of a project": sum(state.in_flight for state in pool._states.values()),
    }
    for name, before, now in zip(("descriptors", "tasks"), baseline, held(), strict=True):
        counts[f"{name} beyond {before}"] = (
            now - before if now - before > _SLACK else 0
        )  # fewer: of earlier tests
    return [f"{count} {name}" for name, count in counts.items() if count]


async def all_returned(app: web.Application, baseline: tuple[int, int]) -> None:
    """Wait until an application holds nothing. Raises AssertionError with what it does after five seconds."""
    await _in_time(lambda: still_held(app, baseline))


async def _in_time(faults: Callable[[], list[str]]) -> None:
    """Wait until there are no faults. Raises AssertionError with those that remain."""
    end = asyncio.get_running_loop().time() + _RETURN
    while remaining := faults():
        assert asyncio.get_running_loop().time() < end, remaining
        await asyncio.sleep(0.01)
