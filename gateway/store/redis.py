"""State that machines share in Redis or Valkey: counters of limits, key-value stores, and the key pool's updates.

Each call has 50 ms. A call that fails is answered from this process's own memory, with limits divided by the number of
machines; from then on nothing waits for Redis until it answers a probe again. A call that is cut off closes its
connection, so that its answer never reaches another call.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import redis.asyncio
from redis.exceptions import RedisError

from gateway.policy.clients.rate_limits import Taken, Window, weigh
from gateway.policy.pool.breaker import Breaker
from gateway.store.key_value import StoreKind, StoreLimits
from gateway.store.memory import MemoryStore
from gateway.store.rate_counters import MemoryCounters

T = TypeVar("T")

_BUDGET = 0.05
"""Seconds for one call, connecting included."""
_CONNECTIONS = 32
"""Connections of one process; opening more takes longer than waiting for one."""
_PROBE = 1.0
"""Seconds between two probes."""
_PLACE = 3600
"""Seconds for which a place is held for a machine that may have died."""
_MAX_OWED = 10_000
FAILURES = (RedisError, OSError, TimeoutError, ValueError, TypeError, IndexError, RecursionError)
"""Raised for a server that is gone or slow, and for one that answers nonsense."""


def script(name: str) -> str:
    """Return the text of a Lua script. Redis runs each script atomically."""
    return files("gateway.store").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


class Redis:
    """Connections to Redis, and whether they are used. An async context: the probe runs while it is open."""

    def __init__(
        self, url: str, password: str | None, report: Callable[[str], None], prefix: str = "gateway:"
    ) -> None:
        self.prefix = prefix
        address = urlsplit(url)
        try:
            is_valid = address.port is None or address.port > 0
        except ValueError:
            is_valid = False
        if not is_valid or address.password is not None:
            # redis-py's own message quotes the address, and with it perhaps a password
            raise ValueError("redis: expected redis://HOST:PORT/NUMBER, with the password in redis_password")
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url, password=password, socket_timeout=None, socket_connect_timeout=None, retry=None, retry_on_error=[],
            max_connections=_CONNECTIONS, timeout=1, protocol=2,
        )  # fmt: skip
        self.client = redis.asyncio.Redis.from_pool(pool)
        self.errors: Counter[str] = Counter()
        """Failed calls, by what they were for."""
        self._report = report
        self._breaker = Breaker(1, _PROBE, _PROBE)
        self._probing: asyncio.Task[None] | None = None

    @property
    def degraded(self) -> bool:
        """Whether Redis is not used because it fails."""
        return self._breaker.tripped

    async def __aenter__(self) -> Self:
        await self.ask("ping", self.client.ping, None)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        with suppress(*FAILURES):
            await self.client.aclose()

    async def ask(self, purpose: str, call: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """Return what a call returns, or `otherwise` if Redis cannot be used. `purpose` labels the failure."""
        if self.degraded:
            return otherwise
        try:
            async with asyncio.timeout(_BUDGET):
                return await call()
        except FAILURES as error:
            self.errors[purpose] += 1
            self._failed(error)
            return otherwise

    def _failed(self, error: Exception) -> None:
        """Stop using Redis, report it and start probing, unless another call has done so."""
        if not self.degraded:
            self._breaker.failed(asyncio.get_running_loop().time())
            why = (str(error).splitlines() or [""])[0][:200] or type(error).__name__
            if isinstance(error, TimeoutError):
                why = f"no answer within {_BUDGET * 1000:.0f} ms"
            self._report(
                f"Redis (state.redis) is not used: {why}. Until it is back, each process has its share of the limits,"
                " and cooldowns are not shared."
            )
            self._probing = asyncio.create_task(self._probe(), name="redis-probe")

    async def _probe(self) -> None:
        """Use Redis again once it answers as quickly as any call must."""
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._breaker.cooldown.remaining(now()))
            try:
                # the first may have to connect; the second must be quick, or the next call would fail again
                for seconds in (_BUDGET * 4, _BUDGET):
                    async with asyncio.timeout(seconds):
                        # a write: a replica, a full or a loading server answers PING all the same
                        await self.client.set(f"{self.prefix}probe", b"1", ex=60)
                break
            except FAILURES:
                self._breaker.failed(now())
        self._breaker.succeeded()
        self._report("Redis is used again.")


class RedisCounters:
    """Counters of all machines. Each decision is one script."""

    local = None

    def __init__(self, shared: Redis, machines: int) -> None:
        self._redis = shared
        self._own = MemoryCounters(1 / machines)
        self._owed: deque[tuple[str, str]] = deque(maxlen=_MAX_OWED)
        """Places to give back: key and token."""
        self._take = shared.client.register_script(script("take"))
        self._correct = shared.client.register_script(script("correct"))
        self._enter = shared.client.register_script(script("enter"))

    @property
    def errors(self) -> int:
        """Calls of Redis that have failed, for whatever purpose."""
        return self._redis.errors.total()

    @property
    def degraded(self) -> bool:
        """Whether this process counts alone."""
        return self._redis.degraded

    async def take(self, client: str, windows: Sequence[Window], n: int, now: float) -> Taken:
        keys: list[str] = []
        arguments: list[str | int] = []
        for back in (0, 1):
            keys += [self._key(client, w.counted, w.seconds, w.index(now) - back) for w in windows]
        for window in windows:
            left = 1 - (now / window.seconds - window.index(now))
            arguments += [window.limit, n, repr(left), 2 * window.seconds + 60]

        async def decide() -> Taken:  # an answer that cannot be read is a failure like any other
            counts: Any = await self._take(keys, arguments)
            used = [(w, int(counts[2 * i + 1]), int(counts[2 * i + 2]), n) for i, w in enumerate(windows)]
            taken = weigh(used, now)
            return Taken(taken.states) if int(counts[0]) else taken

        taken = await self._redis.ask("limits", decide, None)
        return taken if taken is not None else self._own.take_now(client, windows, n, now)

    async def correct(self, client: str, windows: Sequence[Window], change: int, now: float) -> None:
        keys = [self._key(client, w.counted, w.seconds, w.index(now)) for w in windows]
        arguments = [n for w in windows for n in (change, 2 * w.seconds + 60)]
        if not await self._redis.ask("limits", lambda: _done(self._correct(keys, arguments)), False):
            self._own.correct_now(client, windows, change, now)

    async def enter(self, client: str, limit: int, token: str, now: float) -> bool:
        await self._give_back()
        key = self._inside(client)
        arguments: list[str | float] = [now, limit, now + _PLACE, token, _PLACE]

        async def place() -> bool:
            return bool(int(await self._enter([key], arguments)))

        try:
            entered = await self._redis.ask("limits", place, None)
        except asyncio.CancelledError:  # the place may have been taken all the same
            self._owed.append((key, token))
            raise
        return entered if entered is not None else await self._own.enter(client, limit, token, now)

    async def leave(self, client: str, token: str) -> None:
        await self._own.leave(client, token)
        self._owed.append((self._inside(client), token))
        await self._give_back()

    async def _give_back(self) -> None:
        """Release in Redis the places of ended requests, also those that could not be released before."""
        while self._owed and not self._redis.degraded:
            key, token = self._owed.popleft()
            done = False
            try:
                done = await self._redis.ask(
                    "limits",
                    lambda: _done(self._redis.client.zrem(key, token)),  # noqa: B023 - awaited at once
                    False,
                )
            finally:
                if not done:
                    self._owed.append((key, token))
            if not done:
                return

    def _key(self, client: str, counted: str, seconds: int, index: int) -> str:
        # the braces put all keys of a client into one slot of a cluster
        return f"{self._redis.prefix}{{{client}}}:{counted}:{seconds}:{index}"

    def _inside(self, client: str) -> str:
        return f"{self._redis.prefix}{{{client}}}:inside"


class RedisStore:
    """Key-value store of all machines. What this process put is in its memory, too."""

    def __init__(self, shared: Redis, limits: StoreLimits, kind: StoreKind) -> None:
        self._redis = shared
        self._limits = limits
        self._kind = kind
        self._memory = MemoryStore(limits)

    @property
    def errors(self) -> int:
        """Calls for this store that have failed."""
        return self._redis.errors[self._kind.name]

    @property
    def size(self) -> int:
        """Bytes that the entries in memory take."""
        return self._memory.size

    async def get(self, keys: Sequence[bytes], now: float) -> dict[bytes, str]:
        entries = {} if self._kind.changes else await self._memory.get(keys, now)
        missing = [key for key in keys if key not in entries]
        if missing:
            names = [self._name(key) for key in missing]
            values: Any = await self._redis.ask(self._kind.name, lambda: self._redis.client.mget(names), None)
            if not isinstance(values, list):
                return entries | await self._memory.get(missing, now)
            pairs = zip(missing, values, strict=False)
            entries |= {key: value.decode() for key, value in pairs if isinstance(value, bytes)}
        return entries

    async def put(self, entries: Mapping[bytes, str], now: float) -> None:
        await self._memory.put(entries, now)
        fitting = {key: value for key, value in entries.items() if self._memory.fits(key, value)}
        if fitting:
            await self._redis.ask(self._kind.name, lambda: self._write(fitting), False)

    async def close(self) -> None:
        """Do nothing: `Redis` closes the connections."""

    async def _write(self, entries: Mapping[bytes, str]) -> bool:
        pipe = self._redis.client.pipeline(transaction=False)
        for key, value in entries.items():
            pipe.set(self._name(key), value.encode(), ex=int(self._limits.age))
        await pipe.execute()
        return True

    def _name(self, key: bytes) -> bytes:
        return f"{self._redis.prefix}{self._kind.key_prefix}:".encode() + key


class RedisPoolUpdates:
    """The updates of all machines' key pools: one hash, which each machine reads every half second."""

    def __init__(self, shared: Redis) -> None:
        self._redis = shared
        self._name = f"{shared.prefix}pool"

    async def publish(self, updates: Mapping[str, bytes]) -> None:
        """Store updates by the key or project that they concern."""
        mapping: dict[Any, Any] = dict(updates)
        if mapping:
            await self._redis.ask("pool", lambda: self._redis.client.hset(self._name, mapping=mapping), 0)

    async def all(self) -> list[bytes]:
        """Return the updates of all machines."""
        values: Any = await self._redis.ask("pool", lambda: self._redis.client.hvals(self._name), [])
        return [value for value in values if isinstance(value, bytes)] if isinstance(values, list) else []

    async def forget(self, names: Sequence[str]) -> None:
        """Delete updates that have expired."""
        if names:
            await self._redis.ask("pool", lambda: self._redis.client.hdel(self._name, *names), 0)


async def _done(call: Awaitable[object]) -> bool:
    await call
    return True
