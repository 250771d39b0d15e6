"""Relays the answer of one streamed call to the client.

The plain way begins once content was sent: what arrives is translated and written in the same call of the upstream's
connection, without a task in between. The long way is the loop of `run`, which takes what has to wait: signatures are
stored before the client sees their part, hooks may call other services, a slow client has to read first, and the end
is written together with the last data.
"""

from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic
from typing import Protocol

from aiohttp import web

from gateway.exchange.calls.call_state import CallState
from gateway.exchange.calls.hedging import Hedging
from gateway.exchange.replies.stream_memory import StreamMemory
from gateway.gemini.call import GeminiCall
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.thought_signatures import Signed
from gateway.store.response_cache import LARGEST
from gateway.upstream.client import Incoming

_COUNTED = 4096
"""Bytes of which the account of the request's memory is told at once."""


class Reply(Protocol):
    """The client's side of a stream."""

    @property
    def begun(self) -> bool:
        """True once status and headers are sent. An error can then only be written into the stream."""

    @property
    def push(self) -> Callable[[bytes, float], bool] | None:
        """Write content in one call, or return False if it would have to wait, and write nothing. None: always.

        Its second argument is the time, by `time.monotonic`.
        """

    async def write(self, data: bytes) -> None:
        """Write content. Waits for a slow client."""

    async def finish(self, last: bytes = b"") -> web.StreamResponse:
        """Write the last content and the end of the stream. Nothing is written after it."""


class Upstream(Protocol):
    """The client for Gemini's API, as a relay sees it."""

    async def open(self, call: GeminiCall, key: str) -> Incoming:
        """Return a streamed answer. Raises GatewayError."""


class StreamRelay:
    """One attempt's answer under way to the client. `store` stores signatures and clears their list."""

    __slots__ = (
        "_counted",
        "_last_read",
        "_left",
        "_longest_gap",
        "_memory",
        "_next_count",
        "_push",
        "_read",
        "_reply",
        "_state",
        "_store",
        "_translator",
    )  # fmt: skip

    def __init__(
        self,
        state: CallState,
        translator: StreamTranslator,
        reply: Reply,
        store: Callable[[list[Signed]], Awaitable[None]],
    ) -> None:
        self._state = state
        self._translator = translator
        self._reply = reply
        self._memory = StreamMemory(state.context.memory)
        self._store = store
        self._push = reply.push if state.hooks is None else None
        self._read = 0
        """Bytes that have arrived."""
        self._counted = 0
        """Bytes of which the memory was told."""
        self._next_count = min(_COUNTED, LARGEST + 1)
        """Bytes after which it is told again."""
        self._last_read = inf
        self._longest_gap = -1.0
        """Seconds between two reads."""
        self._left = b""
        """Content that was translated and has to wait."""

    async def run(self, upstream: Upstream, key: str, hedging: Hedging | None) -> None:
        """Make the call, and relay its answer to its end, or until a hook ends it. Raises GatewayError."""
        state, hooks = self._state, self._state.hooks
        with self._memory, await upstream.open(state.local or state.call, key) as incoming:
            while data := await incoming.read():
                if hedging is not None:
                    hedging.answered(state)
                self._arrived(data)
                if incoming.is_over and hooks is None:
                    await self._end(self._translator.feed(data))
                    return
                await self._write(await self._translated(data))
                if hooks is not None and hooks.ended:
                    return
                if self._push is None or not state.has_output:
                    continue
                if (pushing := incoming.push_to(self._take)) is not None:
                    del data  # it may be long until there is more
                    await pushing
                    left, self._left = self._left, b""
                    await self._write(left)
            await self._end(b"")

    def _arrived(self, data: bytes) -> float:
        """Note a read, and return its time. An answer that is too large is not kept."""
        self._read = size = self._read + len(data)
        if size >= self._next_count:
            self._count(size)
        now = monotonic()
        gap = now - self._last_read
        if gap > self._longest_gap:
            self._longest_gap = gap
            self._state.report.add_chunk_gap(gap)
        self._last_read = now
        return now

    def _count(self, size: int) -> None:
        """Tell the account of the request's memory what has arrived."""
        self._memory.arrived(size - self._counted, self._translator.waiting)
        self._counted = size
        self._next_count = size + _COUNTED
        if size <= LARGEST:
            self._next_count = min(self._next_count, LARGEST + 1)
        elif self._state.cache_key:
            self._state.cache_key, self._translator.messages = b"", None

    def _take(self, data: bytes) -> bool:
        """Translate and write what has arrived. Return False if something has to wait, or has failed."""
        now, translator = self._arrived(data), self._translator
        out = translator.feed(data)
        if translator.reader.signed or translator.error is not None or (out and not self._push(out, now)):  # type: ignore[misc]  # not None
            self._left = out
            return False
        return True

    async def _translated(self, data: bytes) -> bytes:
        """Return what some bytes become, as the hooks leave it."""
        translator = self._translator
        if self._state.hooks is None:
            return translator.feed(data)
        return await self._state.encoded(translator, translator.read(data))

    async def _write(self, out: bytes, *, last: bool = False) -> None:
        """Store signatures, then write content. Raises the translator's error after what came before it."""
        translator, state = self._translator, self._state
        if translator.signed:
            await self._store(translator.signed)
        if out:
            if not state.has_output:
                state.begin_output()
            if last:
                await self._reply.finish(out)
            else:
                await self._reply.write(out)
        if translator.error is not None:
            raise translator.error

    async def _end(self, out: bytes) -> None:
        """Write content and the end of the answer: in one write with the end of the stream, if it is that."""
        translator, state = self._translator, self._state
        if translator.error is None:
            if state.hooks is None:
                out += translator.close()
            else:
                out += await state.encoded(translator, translator.read_end())
        is_last = state.hooks is None and state.report.unsent == 1 and translator.reader.continuation is None
        await self._write(out, last=is_last and translator.error is None)
