"""One request's conversation with Gemini: call, judge, try again while nothing was sent, deliver.

Three things are tried again before the first byte: failures that pass (`policy.retry`), refusals with a remedy
(`translate.adjust`), and answers that hold nothing. Signatures are stored before the client can send them back.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from time import monotonic, time
from typing import Protocol, TypeVar

from aiohttp import web

from gateway.attempt import Accounts, Attempt, Size
from gateway.errors import Draining, GatewayError, UnusableAnswer
from gateway.policy.access import Client
from gateway.policy.affinity import affinity
from gateway.policy.refusals import Refusals
from gateway.policy.retry import Fail, RetryBudget, RetryConfig, judge
from gateway.record import Record
from gateway.store.memory import MemorySignatures
from gateway.store.pins import BOUNDS, Pins
from gateway.store.signatures import Signatures, SignaturesConfig
from gateway.translate import adjust
from gateway.translate.events import Event
from gateway.translate.family import Families
from gateway.translate.signatures import Signed
from gateway.translate.stream import StreamTranslator, decode, readable
from gateway.translate.turn import TurnReader
from gateway.upstream.client import Forwarded, GeminiClient
from gateway.wire.gemini import GeminiCall, UsageMetadata, encode_json
from gateway.wire.gemini_lists import decode_count, encode_count

T = TypeVar("T")

_UNSIZED = Size()
_MOST_OUTPUT = 65_536
"""Tokens that a model may write, where the table does not say."""
_MOST_REMEDIES = 2
"""Adjustments of one request (translation.md J)."""


class Reply(Protocol):
    """The client's side of a stream."""

    @property
    def begun(self) -> bool:
        """Status and headers are out: an error can only be told inside the stream."""

    async def write(self, data: bytes) -> None: ...
    async def finish(self) -> web.StreamResponse: ...


class _Attempts:
    """What one upstream call has been through."""

    def __init__(self, call: GeminiCall, client: Client, record: Record, size: Size) -> None:
        self.call = call
        self.client = client
        self.record = record
        self.size = size
        self.affinity = affinity(call, client) if client.id else b""
        self.tried: list[str] = []
        """Projects that were asked."""
        self.failures = 0
        self.remedies: list[str] = []
        self.settled = False
        """An answer without content was tried again once; the next is taken as it is."""
        self.said = False
        """This call's content is out."""

    def begin(self) -> None:
        self.record.attempts += 1


class Exchange:
    """Carries calls through attempts; retry budget and learnt refusals are shared by all of them."""

    def __init__(
        self,
        upstream: GeminiClient,
        retry: RetryConfig,
        accounts: Accounts,
        families: Families,
        *,
        strict: bool = False,
    ) -> None:
        self._upstream = upstream
        self.accounts = accounts
        self._families = families
        self._retry = retry
        self._budget = RetryBudget()
        self._refusals = Refusals()
        self.signatures: Signatures = MemorySignatures(SignaturesConfig())
        """Replaced at the start by what the configuration names."""
        self.responses: Signatures = MemorySignatures(SignaturesConfig())
        """Stored responses, in the same kind of store."""
        self.pins = Pins(MemorySignatures(BOUNDS))
        """Where the files and caches of issued keys are, too."""
        self._strict = strict

    async def stored(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The signatures that are known under some keys."""
        return await self.signatures.get(keys, time()) if keys else {}

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
        while True:
            attempts.begin()
            reader = new()
            try:
                async with self._attempt(attempts) as attempt:
                    try:
                        events = reader.feed(decode(await self._upstream.send(call, attempt.key)))
                        events += reader.close(whole=True, settle=attempts.settled)
                    finally:
                        attempt.usage = reader.usage
            except GatewayError as error:
                await self._again(error, attempts)
                continue
            self._succeeded(record)
            record.count(reader.usage)
            await self._keep(reader.signed)
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
                await self._one(calls[0], client, reply, record, lambda: new(0))
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
            asyncio.create_task(self._one(call, client, reply, record, lambda i=i: new(i)))  # type: ignore[misc]
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
        """One call's stream to its end, tried again while nothing was said."""
        attempts = self._attempts(call, client, record)
        while True:
            attempts.begin()
            translator = new()
            try:
                async with self._attempt(attempts) as attempt:
                    try:
                        await self._relay(attempts, attempt.key, reply, translator)
                    finally:
                        attempt.usage = translator.usage
            except UnusableAnswer as error:
                if not (attempts.said or attempts.settled):
                    await self._again(error, attempts)
                    continue
                await reply.write(translator.settle())
            except GatewayError as error:
                record.count(translator.usage)
                if attempts.said:
                    raise
                await self._again(error, attempts)
                continue
            self._succeeded(record)
            record.count(translator.usage)
            return

    async def _relay(self, attempts: _Attempts, key: str, reply: Reply, translator: StreamTranslator) -> None:
        """One attempt: each upstream read becomes at most one write. Raises what the translator kept."""
        async with await self._upstream.open(attempts.call, key) as incoming:
            async for data in incoming:
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

    async def _keep(self, signed: list[Signed]) -> None:
        """Store signatures under all their keys."""
        if signed:
            found = {key: one.signature for one in signed for key in one.keys}
            signed.clear()
            await self.signatures.put(found, time())

    async def _tell(
        self, error: GatewayError, translator: StreamTranslator, reply: Reply, record: Record
    ) -> None:
        """The status is gone: an error frame ends the stream."""
        record.failed(error)
        await reply.write(translator.fail(error))

    async def _again(self, error: GatewayError, attempts: _Attempts) -> None:
        """Make ready for another attempt, or raise the error."""
        attempts.record.upstream_status = error.upstream_status or attempts.record.upstream_status
        if self._remedied(error, attempts):
            return
        if isinstance(error, UnusableAnswer):
            attempts.settled = True
            return
        attempts.failures += 1
        call = attempts.call
        await self._pause(error, attempts.failures, attempts.client, call.model, call.project)

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

    def _attempts(self, call: GeminiCall, client: Client, record: Record) -> _Attempts:
        return _Attempts(
            call, client, record, self._size(call) if self.accounts.needs_size(client) else _UNSIZED
        )

    def _attempt(self, attempts: _Attempts) -> Attempt:
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

    def _remedied(self, error: GatewayError, attempts: _Attempts) -> bool:
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
