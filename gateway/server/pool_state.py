"""State of the key pool beyond the process: stored across restarts, and shared by machines with one Redis."""

import asyncio
from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, Self

import msgspec

from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import PUT_BACK, REFUSALS, PoolUpdate
from gateway.server.stores import Report
from gateway.store.key_value import KeyValueStore

if TYPE_CHECKING:
    from gateway.store.redis import RedisPoolUpdates

_POLL = 0.5
"""Seconds between two looks at what other machines have learnt."""
_KEY = b"pool\0" * 3 + b"\0"
"""Key of the pool's only entry in its store, 16 bytes as the store demands."""


class PoolState:
    """Async context that restores the pool's cooldowns, saves each change, and exchanges them with other machines."""

    def __init__(
        self,
        pool: KeyPool,
        store: KeyValueStore,
        shared: "RedisPoolUpdates | None",
        report: Report,
        on_refusal: Callable[[PoolUpdate], None] = lambda _: None,
    ) -> None:
        """`on_refusal` is called with each refusal of a key or project by Google, and with what was put back."""
        self._report = report
        self._on_refusal = on_refusal
        self._pool = pool
        self._store = store
        self._shared = shared
        self._poll: asyncio.Task[None] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._dirty = False
        """There are changes that no save has begun to write."""
        self._publishing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._restore()
        if self._shared is not None:
            self._poll = asyncio.create_task(self._keep_fresh(self._shared), name="pool of other machines")
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._poll, self._saving, self._publishing):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._pool:
            await self._save()

    def changed(self, updates: list[PoolUpdate]) -> None:
        """Report refusals, publish updates, and save the whole state."""
        for update in updates:
            if update.reason in (*REFUSALS, PUT_BACK):
                self._on_refusal(update)
        if self._shared is not None:
            entries = {_name(update): msgspec.json.encode(update) for update in updates}
            self._publishing = asyncio.create_task(self._shared.publish(entries), name="pool updates")
        self._dirty = True
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save_changes(), name="pool state")

    async def _keep_fresh(self, shared: "RedisPoolUpdates") -> None:
        """Apply the updates of other machines until cancelled, and delete expired ones."""
        while True:
            await asyncio.sleep(_POLL)
            now, expired = time(), []
            for entry in await shared.all():
                try:
                    update = msgspec.json.decode(entry, type=PoolUpdate)
                except msgspec.DecodeError:
                    continue
                if update.until > now:
                    self._pool.apply(update, now)
                else:
                    expired.append(_name(update))
            await shared.forget(expired)

    async def _save_changes(self) -> None:
        while self._dirty:
            self._dirty = False
            await self._save()

    async def _save(self) -> None:
        now = time()
        state = msgspec.json.encode(self._pool.changes(now)).decode()
        await self._store.put({_KEY: state}, now)

    async def _restore(self) -> None:
        """Apply what an earlier process saved. What cannot be read is reported and learnt again."""
        now = time()
        state = (await self._store.get([_KEY], now)).get(_KEY)
        if not state or not self._pool:
            return
        try:
            updates = msgspec.json.decode(state, type=list[PoolUpdate])
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            self._report(
                f"The saved cooldowns of the key pool cannot be read: {error}. They are learnt again; keys that Google "
                "refuses are tried once more."
            )
            return
        for update in updates:
            self._pool.apply(update, now)


def _name(update: PoolUpdate) -> str:
    return f"{update.project}/{update.key_id}/{update.model}"
