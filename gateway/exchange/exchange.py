"""One request's conversation with Gemini: call, try again while nothing was sent (`retrial`), deliver.

Signatures are stored before the client can send them back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from functools import partial
from time import monotonic, time
from typing import Any, Protocol, TypeVar

from aiohttp import web
from msgspec import structs

from gateway.errors import Draining, GatewayError, UnusableAnswer
from gateway.exchange.attempt import Attempt, CallAccounting, CostEstimate
from gateway.exchange.call_state import CallState
from gateway.exchange.race import Race
from gateway.exchange.recovery import Recovery
from gateway.gemini.events import Event
from gateway.gemini.resources import decode_count, encode_count
from gateway.gemini.stream_translator import StreamTranslator, decode, readable
from gateway.gemini.thought_signatures import Signed
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import GeminiCall, UsageMetadata
from gateway.observability.request_log import RequestLog
from gateway.policy.access import Client
from gateway.policy.hedging import Hedge, HedgeConfig, may_be_doubled
from gateway.store.key_value import StateConfig
from gateway.store.response_cache import CacheConfig, answer_key
from gateway.store.state_stores import StateStores
from gateway.upstream.client import Forwarded, GeminiClient


class Reply(Protocol):
    """The client's side of a stream."""

    @property
    def begun(self) -> bool:
        """Status and headers are out: an error can only be told inside the stream."""

    async def write(self, data: bytes) -> None: ...
    async def finish(self) -> web.StreamResponse: ...


T = TypeVar("T")


class Exchange:
    """Carries calls through their attempts."""

    def __init__(
        self, upstream: GeminiClient, accounts: CallAccounting, retrial: Recovery, hedge: HedgeConfig
    ) -> None:
        self._upstream = upstream
        self.accounts = accounts
        self._retrial = retrial
        self._hedge = Hedge(hedge)
        self.stores = StateStores(StateConfig(), CacheConfig())
        """Replaced at the start by what the configuration names."""

    async def stored(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The signatures that are known under some keys."""
        return await self.stores.signatures.get(keys, time()) if keys else {}

    def prepare(self, call: GeminiCall, record: RequestLog) -> GeminiCall:
        """Return the call without what the model is known to refuse."""
        return self._retrial.prepare(call, record)

    async def ask(
        self,
        path: str,
        body: bytes | None,
        client: Client,
        record: RequestLog,
        read: Callable[[bytes], T],
        *,
        usage: Callable[[T], UsageMetadata | None] = lambda _: None,
        model: str = "",
        project: str = "",
    ) -> T:
        """Another call's answer, decoded: embeddings, models, counts. Retried as any other."""
        failures = 0
        tried: list[str] = []
        size = CostEstimate(len(body or b""))
        while True:
            failures += 1
            try:
                async with self.accounts.attempt(client, record, model, tried, b"", size, project) as attempt:
                    found = readable(await self._upstream.ask(path, body, attempt.key), read)
                    attempt.usage = usage(found)
            except GatewayError as error:
                record.upstream_status = error.upstream_status or record.upstream_status
                await self._retrial.pause(error, failures, client, model, project)
                continue
            self._retrial.succeeded(record, model)
            return found

    async def forward(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None,
        key: str,
    ) -> Forwarded:
        """Pass a native call on, once."""
        return await self._upstream.forward(method, path, headers, body, key)

    async def count(self, call: GeminiCall, client: Client, record: RequestLog) -> int:
        """The tokens a call would bring (translation.md H.2)."""
        name = call.path.partition(":")[0]
        body = encode_count(name, call.request)
        found = await self.ask(
            f"{name}:countTokens", body, client, record, decode_count, model=call.model, project=call.project
        )
        return found.total_tokens

    async def complete(
        self, call: GeminiCall, client: Client, record: RequestLog, new: Callable[[], TurnReader]
    ) -> list[Event]:
        """The events of a whole answer. Raises GatewayError when no attempt brought one."""
        trail = self._trail(call, client, record)
        if record.cache and (kept := await self._recalled(trail)) is not None:
            reader = new()
            events = [event for message in kept for event in reader.feed(decode(message))]
            events += reader.close(whole=True)
            await self._keep(reader.signed)
            return events
        if trail.call.instead is not None:
            await self._retrial.begin(trail)
        if self._hedge:
            return await self._hedged(trail, lambda one: self._whole(one, new))
        return await self._whole(trail, new)

    async def _whole(self, trail: CallState, new: Callable[[], TurnReader]) -> list[Event]:
        """One call's answer, tried again where that may help."""
        record = trail.record
        while True:
            reader = new()
            trail.begin(reader)
            try:
                async with self._attempt(trail) as attempt:
                    try:
                        answer = await self._upstream.send(trail.call, attempt.key)
                        if trail.race is not None:
                            self._answered(trail)
                        events = reader.feed(decode(answer))
                        events += reader.close(whole=True, accept_empty=trail.settled)
                    finally:
                        attempt.usage, attempt.searches = reader.usage, reader.searches
            except GatewayError as error:
                await self._retrial.again(error, trail)
                continue
            self._retrial.succeeded(record, trail.call.model)
            record.count(reader.usage)
            await self._keep(reader.signed)
            if trail.key:
                await self._remember(trail, [answer])
            return events

    async def stream(
        self,
        calls: Sequence[GeminiCall],
        client: Client,
        reply: Reply,
        record: RequestLog,
        new: Callable[[int], StreamTranslator],
    ) -> web.StreamResponse:
        """Relay a stream, or several at once for `n`. Raises GatewayError only while the reply has not begun."""
        first = new(0)
        try:
            if len(calls) == 1:
                await self._one(calls[0], client, reply, record, partial(new, 0))
            else:
                await self._several(calls, client, reply, record, new)
        except GatewayError as error:
            if not reply.begun:
                raise
            await self._tell(error, first, reply, record)
        except asyncio.CancelledError as cancelled:
            if not reply.begun or cancelled.args != (Draining.CANCELLED,):
                raise
            await self._tell(Draining(), first, reply, record)
        return await reply.finish()

    async def _several(
        self,
        calls: Sequence[GeminiCall],
        client: Client,
        reply: Reply,
        record: RequestLog,
        new: Callable[[int], StreamTranslator],
    ) -> None:
        """All of them side by side; the first that fails ends the others."""
        tasks = [
            asyncio.create_task(self._one(call, client, reply, record, partial(new, i)))
            for i, call in enumerate(calls)
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(
        self,
        call: GeminiCall,
        client: Client,
        reply: Reply,
        record: RequestLog,
        new: Callable[[], StreamTranslator],
    ) -> None:
        """One call's stream to its end."""
        trail = self._trail(call, client, record)
        if record.cache and (kept := await self._recalled(trail)) is not None:
            translator = new()
            out = (
                translator.feed(b"".join(b"data: %s\n\n" % message for message in kept)) + translator.close()
            )
            await self._keep(translator.signed)
            await reply.write(out)
            return
        if trail.call.instead is not None:
            await self._retrial.begin(trail)
        if self._hedge:
            await self._hedged(trail, lambda one: self._streamed(one, reply, new))
        else:
            await self._streamed(trail, reply, new)

    async def _streamed(self, trail: CallState, reply: Reply, new: Callable[[], StreamTranslator]) -> None:
        """The same, tried again while nothing was said."""
        record = trail.record
        while True:
            translator = new()
            trail.begin(translator.reader)
            try:
                async with self._attempt(trail) as attempt:
                    try:
                        await self._relay(trail, attempt.key, reply, translator)
                    finally:
                        attempt.usage, attempt.searches = translator.usage, translator.reader.searches
            except UnusableAnswer as error:
                if not (trail.said or trail.settled):
                    await self._retrial.again(error, trail)
                    continue
                trail.settled = True
                await reply.write(translator.accept_empty())
            except GatewayError as error:
                record.count(translator.usage)
                if trail.said:
                    raise
                await self._retrial.again(error, trail)
                continue
            self._retrial.succeeded(record, trail.call.model)
            record.count(translator.usage)
            if trail.key:
                await self._remember(trail, trail.messages())
            return

    async def _relay(self, trail: CallState, key: str, reply: Reply, translator: StreamTranslator) -> None:
        """One attempt: each upstream read becomes at most one write. Raises what the translator kept."""
        async with await self._upstream.open(trail.call, key) as incoming:
            async for data in incoming:
                if trail.race is not None:
                    self._answered(trail)
                trail.arrived(data)
                out = translator.feed(data)
                if translator.signed:
                    await self._keep(translator.signed)
                if out:
                    trail.said = True
                    await reply.write(out)
                if translator.error is not None:
                    raise translator.error
        if out := translator.close():
            trail.said = True
            await reply.write(out)
        if translator.error is not None:
            raise translator.error

    async def _recalled(self, trail: CallState) -> list[bytes] | None:
        """What was answered before; else the answer that comes is to be kept."""
        call, client, record = trail.call, trail.client, trail.record
        key = await asyncio.to_thread(answer_key, call, client) if call.heavy else answer_key(call, client)
        kept = await self.stores.answers.get(key, time())
        if kept is None:
            trail.key = key
        else:
            record.cached = "hit"
        return kept

    async def _remember(self, trail: CallState, messages: list[bytes]) -> None:
        """Keep a whole answer of the model that was asked; one with nothing in it had better come anew."""
        if not (trail.other or trail.settled):
            await self.stores.answers.put(trail.key, messages, trail.record.cache, time())

    async def _hedged(self, trail: CallState, run: Callable[[CallState], Coroutine[Any, Any, T]]) -> T:
        """Run; after unusual silence once more beside it, on another project (`policy.hedge`)."""
        call, client, record = trail.call, trail.client, trail.record
        if not (client.id and may_be_doubled(call)):
            return await run(trail)
        race = trail.race = Race[T]()

        def beside() -> Coroutine[Any, Any, T] | None:
            troubled = trail.failures or trail.remedies or trail.settled or trail.other
            if troubled or call.project or not self.accounts.pool.others(call.model, trail.tried, time()):
                return None
            if not self._hedge.spend():
                return None
            other = self._trail(structs.replace(call, instead=None), client, record)
            other.race, other.beside, other.tried = race, True, list(trail.tried)
            other.key = trail.key
            record.hedge = "lost"
            return run(other)

        return await race.run(run(trail), self._hedge.delay(call.model, streamed=call.stream), beside)

    def _answered(self, trail: CallState) -> None:
        """Its first bytes are here: of two attempts this is the one."""
        if trail.race is None or trail.race.decided:
            return
        trail.race.decide()
        silent = monotonic() - trail.began
        self._hedge.observe(trail.call.model, silent, streamed=trail.call.stream)
        record = trail.record
        record.project = trail.tried[-1]
        if trail.beside:
            record.hedge = "won"
            trail.beside = False  # alone from here on, it may be tried again as any other

    async def _keep(self, signed: list[Signed]) -> None:
        """Store signatures under all their keys."""
        if signed:
            found = {key: one.signature for one in signed for key in one.keys}
            signed.clear()
            await self.stores.signatures.put(found, time())

    async def _tell(
        self, error: GatewayError, translator: StreamTranslator, reply: Reply, record: RequestLog
    ) -> None:
        """The status is gone: an error frame ends the stream."""
        record.failed(error)
        await reply.write(translator.fail(error))

    def _trail(self, call: GeminiCall, client: Client, record: RequestLog) -> CallState:
        return CallState(call, client, record, self.accounts.size(call, client))

    def _attempt(self, trail: CallState) -> Attempt:
        return self.accounts.attempt(
            trail.client,
            trail.record,
            trail.call.model,
            trail.tried,
            trail.affinity,
            trail.size,
            trail.call.project,
        )
