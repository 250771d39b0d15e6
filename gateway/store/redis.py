"""State that machines share, in Redis or Valkey: limits, what pools learn, signatures and stored responses.

Every call has 50 ms. One that fails, in whatever way, is answered from this process's own memory, with limits divided
by the number of machines; from then on nobody waits for Redis until it answers a probe again (robustness.md P23 to
P29). A call that was cut off takes its connection with it, so that no answer can reach another call (P30).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import redis.asyncio
from redis.exceptions import RedisError

from gateway.policy.rate_limits import Taken, weigh
from gateway.store.key_value import StoreLimits
from gateway.store.memory import MemoryStore
from gateway.store.rate_counters import MemoryCounters, Wants

T = TypeVar("T")

_BUDGET = 0.05
"""Seconds for one call, the connection included."""
_CONNECTIONS = 32
"""At once; opening more costs more than waiting for one."""
_PROBE = 1.0
"""Seconds between two looks whether it is back."""
_PLACE = 3600
"""Seconds that a place is held for a machine that may have died."""
_MOST_OWED = 10_000
_FAILURES = (RedisError, OSError, TimeoutError, ValueError, TypeError, IndexError, RecursionError)
"""All that a server gone, slow or mad brings about."""

# Each window: KEYS[i] counts this one, KEYS[i + n] the one before; ARGV holds limit, wanted, share of the one before
# that still counts, and life, four for each. Answers 0 or 1, and then the counts.
_TAKE = """
local n, ok, found = #KEYS / 2, 1, {}
for i = 1, n do
  local current = tonumber(redis.call('GET', KEYS[i]) or '0')
  local before = tonumber(redis.call('GET', KEYS[i + n]) or '0')
  found[2 * i - 1], found[2 * i] = before, current
  local used = before * tonumber(ARGV[4 * i - 1]) + current
  if used + tonumber(ARGV[4 * i - 2]) > tonumber(ARGV[4 * i - 3]) then ok = 0 end
end
if ok == 1 then
  for i = 1, n do
    redis.call('INCRBY', KEYS[i], ARGV[4 * i - 2])
    redis.call('EXPIRE', KEYS[i], ARGV[4 * i])
  end
end
return {ok, unpack(found)}
"""
_CORRECT = """
for i = 1, #KEYS do
  if redis.call('INCRBY', KEYS[i], ARGV[2 * i - 1]) < 0 then redis.call('SET', KEYS[i], '0') end
  redis.call('EXPIRE', KEYS[i], ARGV[2 * i])
end
"""
_ENTER = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
"""


class Redis:
    """One connection pool, and whether it can be used. An async context: the probe runs while it is open."""

    def __init__(
        self, url: str, password: str | None, tell: Callable[[str], None], prefix: str = "gateway:"
    ) -> None:
        self.prefix = prefix
        address = urlsplit(url)
        try:
            good = address.port is None or address.port > 0
        except ValueError:
            good = False
        if not good or address.password is not None:
            # redis-py's own message quotes the address, and with it perhaps a password
            raise ValueError("redis: expected redis://HOST:PORT/NUMBER, the password as redis_password")
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url, password=password, socket_timeout=None, socket_connect_timeout=None, retry=None, retry_on_error=[],
            max_connections=_CONNECTIONS, timeout=1, protocol=2,
        )  # fmt: skip
        self.client = redis.asyncio.Redis.from_pool(pool)
        self.degraded = False
        self.errors = 0
        self._tell = tell
        self._probing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.ask(self.client.ping, None)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        with suppress(*_FAILURES):
            await self.client.aclose()

    async def ask(self, call: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """What a call answers, or `otherwise` when Redis cannot be used."""
        if self.degraded:
            return otherwise
        try:
            async with asyncio.timeout(_BUDGET):
                return await call()
        except _FAILURES as error:
            self._failed(error)
            return otherwise

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        if not self.degraded:
            self.degraded = True
            why = (str(error).splitlines() or [""])[0][:200] or type(error).__name__
            self._tell(f"Redis is not used: {why}. Limits are this process's share of them until it is back.")
            self._probing = asyncio.create_task(self._probe(), name="redis-probe")

    async def _probe(self) -> None:
        while True:
            await asyncio.sleep(_PROBE)
            with suppress(*_FAILURES):
                # the first may have to connect; the second must be as quick as any call, or it would fail again at once
                for patience in (_BUDGET * 4, _BUDGET):
                    async with asyncio.timeout(patience):
                        # a write: a replica, a full or a loading server answers PING all the same
                        await self.client.set(f"{self.prefix}probe", b"1", ex=60)
                break
        self.degraded = False
        self._tell("Redis is used again.")


class RedisCounters:
    """Counts of all machines; each decision is one script."""

    def __init__(self, shared: Redis, machines: int) -> None:
        self._redis = shared
        self._own = MemoryCounters(1 / machines)
        self._owed: deque[tuple[str, str]] = deque(maxlen=_MOST_OWED)
        self._take = shared.client.register_script(_TAKE)
        self._correct = shared.client.register_script(_CORRECT)
        self._enter = shared.client.register_script(_ENTER)

    @property
    def errors(self) -> int:
        """Calls that failed."""
        return self._redis.errors

    @property
    def degraded(self) -> bool:
        """Whether this process counts alone."""
        return self._redis.degraded

    async def take(self, client: str, wants: Wants, now: float) -> Taken:
        keys: list[str] = []
        arguments: list[str | int] = []
        for back in (0, 1):
            keys += [self._key(client, w.counted, w.seconds, w.index(now) - back) for w, _ in wants]
        for window, n in wants:
            left = 1 - (now / window.seconds - window.index(now))
            arguments += [window.limit, n, repr(left), 2 * window.seconds + 60]

        async def decide() -> Taken:  # what cannot be read is a failure as any other
            found: Any = await self._take(keys, arguments)
            seen = [(w, int(found[2 * i + 1]), int(found[2 * i + 2]), n) for i, (w, n) in enumerate(wants)]
            taken = weigh(seen, now)
            return Taken(taken.states) if int(found[0]) else taken

        taken = await self._redis.ask(decide, None)
        return taken if taken is not None else await self._own.take(client, wants, now)

    async def correct(self, client: str, wants: Wants, now: float) -> None:
        keys = [self._key(client, w.counted, w.seconds, w.index(now)) for w, _ in wants]
        arguments = [n for w, change in wants for n in (change, 2 * w.seconds + 60)]
        if await self._redis.ask(lambda: self._done(self._correct(keys, arguments)), False):
            return
        await self._own.correct(client, wants, now)

    async def enter(self, client: str, limit: int, token: str, now: float) -> bool:
        await self._pay()
        key = self._inside(client)
        arguments: list[str | float] = [now, limit, now + _PLACE, token, _PLACE]

        async def place() -> bool:
            return bool(int(await self._enter([key], arguments)))

        try:
            found = await self._redis.ask(place, None)
        except asyncio.CancelledError:  # perhaps it was taken all the same
            self._owed.append((key, token))
            raise
        return found if found is not None else await self._own.enter(client, limit, token, now)

    async def leave(self, client: str, token: str) -> None:
        await self._own.leave(client, token)
        self._owed.append((self._inside(client), token))
        await self._pay()

    async def _pay(self) -> None:
        """Give back the places that are owed, those of a time without Redis included."""
        while self._owed and not self._redis.degraded:
            key, token = self._owed.popleft()
            given = False
            try:
                given = await self._redis.ask(lambda: self._done(self._redis.client.zrem(key, token)), False)  # noqa: B023
            finally:
                if not given:
                    self._owed.append((key, token))
            if not given:
                return

    async def close(self) -> None:
        """The connections are closed by who opened them."""

    def _key(self, client: str, counted: str, seconds: int, index: int) -> str:
        return f"{self._redis.prefix}{{{client}}}:{counted}:{seconds}:{index}"  # one slot of a cluster for each client

    def _inside(self, client: str) -> str:
        return f"{self._redis.prefix}{{{client}}}:inside"

    @staticmethod
    async def _done(call: Awaitable[object]) -> bool:
        await call
        return True


class RedisStore:
    """Signatures, or stored responses, of all machines; this process's own are in memory, too."""

    def __init__(self, shared: Redis, config: StoreLimits, kind: str) -> None:
        self._redis = shared
        self._config = config
        self._memory = MemoryStore(config)
        self._kind = kind.encode()

    @property
    def errors(self) -> int:
        """Calls that failed."""
        return self._redis.errors

    async def get(self, keys: Sequence[bytes], now: float) -> dict[bytes, str]:
        if self._kind == b"response":  # another machine may have changed it
            found: dict[bytes, str] = {}
        else:
            found = await self._memory.get(keys, now)
        missing = [key for key in keys if key not in found]
        if missing:
            names = [self._name(key) for key in missing]
            values: Any = await self._redis.ask(lambda: self._redis.client.mget(names), None)
            if not isinstance(values, list):
                return found | await self._memory.get(missing, now)
            pairs = zip(missing, values, strict=False)
            found |= {key: value.decode() for key, value in pairs if isinstance(value, bytes)}
        return found

    async def put(self, found: Mapping[bytes, str], now: float) -> None:
        await self._memory.put(found, now)
        kept = {key: value for key, value in found.items() if self._memory.fits(key, value)}
        if kept:
            await self._redis.ask(lambda: self._write(kept), False)

    async def close(self) -> None:
        """The connections are closed by who opened them."""

    async def _write(self, found: Mapping[bytes, str]) -> bool:
        pipe = self._redis.client.pipeline(transaction=False)
        for key, value in found.items():
            pipe.set(self._name(key), value.encode(), ex=int(self._config.age))
        await pipe.execute()
        return True

    def _name(self, key: bytes) -> bytes:
        return self._redis.prefix.encode() + self._kind + b":" + key


class RedisPool:
    """What the machines' pools have learnt: one hash, read again every second."""

    def __init__(self, shared: Redis) -> None:
        self._redis = shared
        self._name = f"{shared.prefix}pool"

    async def tell(self, changes: Mapping[str, bytes]) -> None:
        """What was learnt here, by whom it concerns."""
        told: dict[Any, Any] = dict(changes)
        if told:
            await self._redis.ask(lambda: self._redis.client.hset(self._name, mapping=told), 0)

    async def all(self) -> list[bytes]:
        """What everybody has learnt."""
        found: Any = await self._redis.ask(lambda: self._redis.client.hvals(self._name), [])
        return [value for value in found if isinstance(value, bytes)] if isinstance(found, list) else []

    async def forget(self, names: Sequence[str]) -> None:
        """What is over."""
        if names:
            await self._redis.ask(lambda: self._redis.client.hdel(self._name, *names), 0)
