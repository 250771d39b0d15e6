"""What serving a team needs beside the exchange: the ledger, the issued keys, and what the pool has learnt.

All of it lives as long as the application, and none of it keeps a request waiting that can do without.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Self

import msgspec

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.exchange.attempt import CallAccounting
from gateway.policy.access import Access
from gateway.policy.keypool import KeyPool, PoolUpdate, Project
from gateway.store.key_value import KeyValueStore

if TYPE_CHECKING:
    from gateway.store.ledger.writer import Ledger
    from gateway.store.redis import RedisPool

_POLL = 0.5
"""Seconds between two looks for changed keys: a revoked one is dead within a second, everywhere."""
_LOST = 600.0
"""Seconds without a settlement after which an attempt's process must be dead."""
_POOL = b"pool\0" * 3 + b"\0"
"""The key of the pool's one entry in its store."""

Tell = Callable[[str], None]


def ledger_url(config: GatewayConfig, environ: "os._Environ[str] | dict[str, str]") -> str | None:
    """Where the ledger is; a file of its own as soon as there is a pool."""
    url = config.ledger.url or ("ledger.db" if config.pool.projects else None)
    if url is None or "://" in url:
        return url
    directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return str(Path(directory or Path.cwd()) / url)


def open_ledger(config: GatewayConfig, source: Source, tell: Tell) -> "Ledger | None":
    """The ledger of a configuration, or None. Blocks. Raises ConfigError when it cannot be opened."""
    url = ledger_url(config, os.environ)
    if url is None:
        return None
    password = config.ledger.password
    try:
        from gateway.store.ledger.writer import (
            Ledger,
        )  # with it comes SQLAlchemy: only who keeps a ledger waits for it

        return Ledger(url, password.reveal() if password is not None else None, config.ledger, tell)
    except ImportError as error:
        told = f"the ledger needs the package {error.name}: pip install 'gemini-gateway[team]'"
    except Exception as error:  # noqa: BLE001 - whatever a database's driver raises
        told = f"the ledger cannot be opened: {_first_line(error)}"
    raise ConfigError((source.fault(("ledger", "url"), told),)) from None


def key_pool(config: GatewayConfig, source: Source) -> KeyPool:
    """The pool of a configuration. Raises ConfigError for projects that cannot be told apart."""
    faults = []
    owners: dict[str, str] = {}
    for i, project in enumerate(config.pool.projects):
        names = [one.name for one in config.pool.projects[:i]]
        if project.name in names:
            faults.append(
                source.fault(("pool", "projects", i, "name"), f"two projects are called {project.name!r}")
            )
        for j, key in enumerate(project.keys):
            owner = owners.setdefault(key.reveal(), project.name)
            if owner != project.name:
                told = f"the same key stands in project {owner!r}: a key belongs to one project"
                faults.append(source.fault(("pool", "projects", i, "keys", j), told))
    if not config.auth.passthrough and not config.pool.projects:
        told = "without passthrough there must be a pool: give pool.projects"
        faults.append(source.fault(("auth", "passthrough"), told))
    if faults:
        raise ConfigError(tuple(faults))
    projects = [
        Project(one.name, tuple(key.reveal() for key in one.keys), one.models) for one in config.pool.projects
    ]
    return KeyPool(projects, config.pool)


class Team:
    """An async context: opened with the application."""

    def __init__(
        self,
        ledger: "Ledger | None",
        accounts: CallAccounting,
        access: Access,
        pool_store: KeyValueStore,
        shared: "RedisPool | None",
        tell: Tell,
    ) -> None:
        self._shared = shared
        self.ledger = ledger
        self._accounts = accounts
        self._access = access
        self._store = pool_store
        self._tell = tell
        self._revision = -1
        self._poll: asyncio.Task[None] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._recall()
        if self._accounts.pool:
            self._accounts.learnt = self._remember
        if self.ledger is not None:
            self._accounts.ledger = self.ledger
            self._access.refresh = self._refresh
            await asyncio.to_thread(self._reconcile)
            await self._refresh()
        if self.ledger is not None or self._shared is not None:
            self._poll = asyncio.create_task(self._keep_fresh(), name="team")
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._poll, self._saving, self._telling):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._accounts.pool:
            await self._save()
        if self.ledger is not None:
            await self.ledger.close()

    def _reconcile(self) -> None:
        from gateway.store.ledger.writer import reconcile

        assert self.ledger is not None  # noqa: S101
        lost = reconcile(self.ledger.engine, time() - _LOST, time())
        if lost:
            self._tell(f"the ledger: {lost} calls of an earlier process never ended; they are `unknown`")

    async def _keep_fresh(self) -> None:
        """Look for changed keys; a database that fails leaves those that were known."""
        said = ""
        while True:
            await asyncio.sleep(_POLL)
            await self._hear()
            if self.ledger is None:
                continue
            try:
                await self._refresh()
                said = ""
            except Exception as error:  # noqa: BLE001 - whatever a database's driver raises
                if said != (said := _first_line(error)):
                    self._tell(f"issued keys cannot be read: {said}. Those that were known are used.")

    async def _refresh(self) -> None:
        from gateway.store.ledger import client_keys

        assert self.ledger is not None  # noqa: S101
        made = self.ledger.engine
        now_at = await asyncio.to_thread(client_keys.revision, made)
        if now_at != self._revision:
            found = await asyncio.to_thread(client_keys.issued, made)
            if now_at > self._revision:  # not overtaken by another look meanwhile
                self._access.issued = {key.hash: key for key in found}
                self._revision = now_at

    async def _hear(self) -> None:
        """What other machines' pools have learnt; entries that are over are taken away."""
        if self._shared is None:
            return
        now, over = time(), []
        for told in await self._shared.all():
            try:
                change = msgspec.json.decode(told, type=PoolUpdate)
            except msgspec.DecodeError:
                continue
            if change.until > now:
                self._accounts.pool.apply(change, now)
            else:
                over.append(_name(change))
        await self._shared.forget(over)

    def _remember(self, changes: list[PoolUpdate]) -> None:
        """Something was learnt: tell it, and keep all that holds, once for everything of the next moment."""
        if self._shared is not None:
            told = {_name(change): msgspec.json.encode(change) for change in changes}
            self._telling = asyncio.create_task(self._shared.tell(told), name="pool-told")
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save(), name="pool-state")

    async def _save(self) -> None:
        now = time()
        told = msgspec.json.encode(self._accounts.pool.changes(now)).decode()
        await self._store.put({_POOL: told}, now)

    async def _recall(self) -> None:
        """What an earlier process has learnt."""
        now = time()
        told = (await self._store.get([_POOL], now)).get(_POOL)
        if told and self._accounts.pool:
            for change in msgspec.json.decode(told, type=list[PoolUpdate]):
                self._accounts.pool.apply(change, now)


def _name(change: PoolUpdate) -> str:
    return f"{change.project}/{change.key_id}/{change.model}"


def _first_line(error: Exception) -> str:
    return (str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__])[0]
