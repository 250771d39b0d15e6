"""One request's conversation with Gemini: call, judge, try again while nothing was sent, deliver.

Three things are tried again before the first byte: failures that pass (`policy.retry`), refusals with a remedy
(`translate.adjust`), and answers that hold nothing. Signatures are stored before the client can send them back.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from functools import partial
from time import monotonic, time
from typing import Any, Protocol, TypeVar

from aiohttp import web
from msgspec import structs

from gateway.attempt import Accounts, Attempt, Size
from gateway.attempts import Attempts
from gateway.errors import Draining, GatewayError, RateLimited, UnusableAnswer
from gateway.policy.access import Client
from gateway.policy.fallback import passes_on
from gateway.policy.hedge import Hedge, HedgeConfig, may_be_doubled
from gateway.policy.refusals import Refusals
from gateway.policy.retry import Fail, RetryBudget, RetryConfig, judge
from gateway.race import Race
from gateway.record import Record
from gateway.store.answers import CacheConfig, answer_key
from gateway.store.signatures import StateConfig
from gateway.store.stores import Stores
from gateway.translate import adjust
from gateway.translate.events import Event
from gateway.translate.family import Families
from gateway.translate.signatures import Signed
from gateway.translate.stream import StreamTranslator, decode, readable
from gateway.translate.turn import TurnReader
from gateway.upstream.client import Forwarded, GeminiClient
from gateway.wire.gemini import GeminiCall, UsageMetadata, encode_json
from gateway.wire.gemini_lists import decode_count, encode_count


class Reply(Protocol):
    """The client's side of a stream."""

    @property
    def begun(self) -> bool:
        """Status and headers are out: an error can only be told inside the stream."""

    async def write(self, data: bytes) -> None: ...
    async def finish(self) -> web.StreamResponse: ...


T = TypeVar("T")

_UNSIZED = Size()
_MOST_OUTPUT = 65_536
"""Tokens that a model may write, where the table does not say."""
_MOST_REMEDIES = 2
"""Adjustments of one request (translation.md J)."""


class Exchange:
    """Carries calls through attempts; retry budget and learnt refusals are shared by all of them."""

    def __init__(
        self,
        upstream: GeminiClient,
        retry: RetryConfig,
        hedge: HedgeConfig,
        accounts: Accounts,
        families: Families,
        *,
        strict: bool = False,
    ) -> None:
        self._upstream = upstream
        self.accounts = accounts
        self._families = families
        self._retry = retry
        self._hedge = Hedge(hedge)
        self._budget = RetryBudget()
        self._refusals = Refusals()
        self.stores = Stores(StateConfig(), CacheConfig())
        """Replaced at the start by what the configuration names."""
        self._strict = strict

    async def stored(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The signatures that are known under some keys."""
        return await self.stores.signatures.get(keys, time()) if keys else {}

    def prepare(self, call: GeminiCall, record: Record) -> None:
        """Leave out what the model is known to refuse."""
        learnt = self._refusals.of(call.model, monotonic())
        if learnt:
            record.adjusted += adjust.prepare(call.request, learnt)

    async def ask(
        self,
        path: str,
        body: bytes | None,
        client: Client,
        record: Record,
        read: Callable[[bytes], T],
        *,
        usage: Callable[[T], UsageMetadata | None] = lambda _: None,
        model: str = "",
        project: str = "",
    ) -> T:
        """Another call's answer, decoded: embeddings, models, counts. Retried as any other."""
        failures = 0
        tried: list[str] = []
        size = Size(len(body or b""))
        while True:
            failures += 1
            record.attempts += 1
            try:
                async with self.accounts.attempt(client, record, model, tried, b"", size, project) as attempt:
                    found = readable(await self._upstream.ask(path, body, attempt.key), read)
                    attempt.usage = usage(found)
            except GatewayError as error:
                record.upstream_status = error.upstream_status or record.upstream_status
                await self._pause(error, failures, client, model, project)
                continue
            self._succeeded(record)
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

    async def count(self, call: GeminiCall, client: Client, record: Record) -> int:
        """The tokens a call would bring (translation.md H.2)."""
        name = call.path.partition(":")[0]
        body = encode_count(name, call.request)
        found = await self.ask(
            f"{name}:countTokens", body, client, record, decode_count, model=call.model, project=call.project
        )
        return found.total_tokens

    async def complete(
        self, call: GeminiCall, client: Client, record: Record, new: Callable[[], TurnReader]
    ) -> list[Event]:
        """The events of a whole answer. Raises GatewayError when no attempt brought one."""
        attempts = self._attempts(call, client, record)
        if record.cache and (kept := await self._recalled(attempts)) is not None:
            reader = new()
            events = [event for message in kept for event in reader.feed(decode(message))]
            events += reader.close(whole=True)
            await self._keep(reader.signed)
            return events
        if self._hedge:
            return await self._hedged(attempts, lambda one: self._whole(one, new))
        return await self._whole(attempts, new)

    async def _whole(self, attempts: Attempts, new: Callable[[], TurnReader]) -> list[Event]:
        """One call's answer, tried again where that may help."""
        record = attempts.record
        while True:
            reader = new()
            attempts.begin(reader)
            try:
                async with self._attempt(attempts) as attempt:
                    try:
                        answer = await self._upstream.send(attempts.call, attempt.key)
                        self._answered(attempts)
                        events = reader.feed(decode(answer))
                        events += reader.close(whole=True, settle=attempts.settled)
                    finally:
                        attempt.usage, attempt.searches = reader.usage, reader.searches
            except GatewayError as error:
                await self._again(error, attempts)
                continue
            self._succeeded(record)
            record.count(reader.usage)
            await self._keep(reader.signed)
            if attempts.key:
                await self._remember(attempts, [answer])
            return events

    async def stream(
        self,
        calls: Sequence[GeminiCall],
        client: Client,
        reply: Reply,
        record: Record,
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
        record: Record,
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
        record: Record,
        new: Callable[[], StreamTranslator],
    ) -> None:
        """One call's stream to its end."""
        attempts = self._attempts(call, client, record)
        if record.cache and (kept := await self._recalled(attempts)) is not None:
            translator = new()
            out = (
                translator.feed(b"".join(b"data: %s\n\n" % message for message in kept)) + translator.close()
            )
            await self._keep(translator.signed)
            await reply.write(out)
            return
        if self._hedge:
            await self._hedged(attempts, lambda one: self._streamed(one, reply, new))
        else:
            await self._streamed(attempts, reply, new)

    async def _streamed(self, attempts: Attempts, reply: Reply, new: Callable[[], StreamTranslator]) -> None:
        """The same, tried again while nothing was said."""
        record = attempts.record
        while True:
            translator = new()
            attempts.begin(translator.reader)
            try:
                async with self._attempt(attempts) as attempt:
                    try:
                        await self._relay(attempts, attempt.key, reply, translator)
                    finally:
                        attempt.usage, attempt.searches = translator.usage, translator.reader.searches
            except UnusableAnswer as error:
                if not (attempts.said or attempts.settled):
                    await self._again(error, attempts)
                    continue
                attempts.settled = True
                await reply.write(translator.settle())
            except GatewayError as error:
                record.count(translator.usage)
                if attempts.said:
                    raise
                await self._again(error, attempts)
                continue
            self._succeeded(record)
            record.count(translator.usage)
            if attempts.key:
                await self._remember(attempts, attempts.messages())
            return

    async def _relay(self, attempts: Attempts, key: str, reply: Reply, translator: StreamTranslator) -> None:
        """One attempt: each upstream read becomes at most one write. Raises what the translator kept."""
        async with await self._upstream.open(attempts.call, key) as incoming:
            async for data in incoming:
                if attempts.race is not None:
                    self._answered(attempts)
                attempts.arrived(data)
                out = translator.feed(data)
                if translator.signed:
                    await self._keep(translator.signed)
                if out:
                    attempts.said = True
                    await reply.write(out)
                if translator.error is not None:
                    raise translator.error
        if out := translator.close():
            attempts.said = True
            await reply.write(out)
        if translator.error is not None:
            raise translator.error

    async def _recalled(self, attempts: Attempts) -> list[bytes] | None:
        """What was answered before; else the answer of these attempts is to be kept."""
        call, client, record = attempts.call, attempts.client, attempts.record
        key = await asyncio.to_thread(answer_key, call, client) if call.heavy else answer_key(call, client)
        kept = await self.stores.answers.get(key, time())
        if kept is None:
            attempts.key = key
        else:
            record.cached = "hit"
        return kept

    async def _remember(self, attempts: Attempts, messages: list[bytes]) -> None:
        """Keep a whole answer of the model that was asked; one with nothing in it had better come anew."""
        if not (attempts.other or attempts.settled):
            await self.stores.answers.put(attempts.key, messages, attempts.record.cache, time())

    async def _hedged(self, attempts: Attempts, run: Callable[[Attempts], Coroutine[Any, Any, T]]) -> T:
        """Run; after unusual silence once more beside it, on another project (`policy.hedge`)."""
        call, client, record = attempts.call, attempts.client, attempts.record
        if not (client.id and may_be_doubled(call)):
            return await run(attempts)
        race = attempts.race = Race[T]()

        def beside() -> Coroutine[Any, Any, T] | None:
            troubled = attempts.failures or attempts.remedies or attempts.settled or attempts.other
            if troubled or call.project or not self.accounts.pool.others(call.model, attempts.tried, time()):
                return None
            if not self._hedge.spend():
                return None
            other = self._attempts(structs.replace(call, instead=None), client, record)
            other.race, other.beside, other.tried = race, True, list(attempts.tried)
            other.key = attempts.key
            other.failures = self._retry.attempts  # its failure is no reason for a third
            record.hedge = "lost"
            return run(other)

        return await race.run(run(attempts), self._hedge.delay(call.model, streamed=call.stream), beside)

    def _answered(self, attempts: Attempts) -> None:
        """Its first bytes are here: of two attempts this is the one."""
        if attempts.race is None or attempts.race.decided:
            return
        attempts.race.decide()
        silent = monotonic() - attempts.began
        self._hedge.observe(attempts.call.model, silent, streamed=attempts.call.stream)
        record = attempts.record
        record.project = attempts.tried[-1]
        if attempts.beside:
            record.hedge = "won"

    async def _keep(self, signed: list[Signed]) -> None:
        """Store signatures under all their keys."""
        if signed:
            found = {key: one.signature for one in signed for key in one.keys}
            signed.clear()
            await self.stores.signatures.put(found, time())

    async def _tell(
        self, error: GatewayError, translator: StreamTranslator, reply: Reply, record: Record
    ) -> None:
        """The status is gone: an error frame ends the stream."""
        record.failed(error)
        await reply.write(translator.fail(error))

    async def _again(self, error: GatewayError, attempts: Attempts) -> None:
        """Make ready for another attempt, or raise the error."""
        attempts.record.upstream_status = error.upstream_status or attempts.record.upstream_status
        if self._remedied(error, attempts):
            return
        if isinstance(error, UnusableAnswer):
            attempts.settled = True
            return
        attempts.failures += 1
        call = attempts.call
        try:
            await self._pause(error, attempts.failures, attempts.client, call.model, call.project)
        except GatewayError as last:
            if not await self._passed_on(last, attempts):
                raise

    async def _passed_on(self, error: GatewayError, attempts: Attempts) -> bool:
        """Whether the next model of the chain is asked from now on. In an outage that is a retry like any other."""
        instead = attempts.call.instead
        if instead is None or not passes_on(error):
            return False
        if not isinstance(error, RateLimited) and not self._budget.spend():
            return False
        call = await instead()
        if call is None:
            return False
        record = attempts.record
        record.fallbacks = [*(record.fallbacks or ()), f"{attempts.call.model} {error.code}"]
        self.prepare(call, record)
        attempts.other = True
        attempts.ask(call, self._size(call) if self.accounts.needs_size(attempts.client) else _UNSIZED)
        return True

    async def _pause(
        self, error: GatewayError, failures: int, client: Client, model: str, project: str
    ) -> None:
        """Wait before another attempt, or raise the error."""
        elsewhere, error = self.accounts.elsewhere(error, client, model, project)
        jitter = random.random()  # noqa: S311
        verdict = judge(error, failures, self._budget, self._retry, jitter, elsewhere=elsewhere)
        if isinstance(verdict, Fail):
            raise verdict.error
        await asyncio.sleep(verdict.after)

    def _attempts(self, call: GeminiCall, client: Client, record: Record) -> Attempts:
        return Attempts(
            call, client, record, self._size(call) if self.accounts.needs_size(client) else _UNSIZED
        )

    def _attempt(self, attempts: Attempts) -> Attempt:
        return self.accounts.attempt(
            attempts.client,
            attempts.record,
            attempts.call.model,
            attempts.tried,
            attempts.affinity,
            attempts.size,
            attempts.call.project,
        )

    def _size(self, call: GeminiCall) -> Size:
        """What a call may bring at most; an answer is as long as was asked, or as the model can write."""
        config = call.request.generation_config
        output = config.max_output_tokens if config is not None else None
        request = call.request
        read = (request.system_instruction, request.tools, request.contents)
        return Size(
            len(encode_json(read)),
            output or self._families.of(call.model).output_tokens or _MOST_OUTPUT,
        )

    def _remedied(self, error: GatewayError, attempts: Attempts) -> bool:
        """Change the request so that this refusal cannot come again."""
        if len(attempts.remedies) >= _MOST_REMEDIES:
            return False
        remedy = adjust.remedy(error, attempts.remedies)
        if remedy is None or (self._strict and not remedy.harmless):
            return False
        if not remedy.apply(attempts.call.request, error.message):
            return False
        attempts.remedies.append(remedy.feature)
        attempts.record.adjusted.append(remedy.field)
        if remedy.lasting:
            self._refusals.learn(attempts.call.model, remedy.feature, monotonic())
        return True

    def _succeeded(self, record: Record) -> None:
        record.upstream_status = 200
        self._budget.earn()
