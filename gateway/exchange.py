"""One request's conversation with Gemini: call, judge, try again while nothing was sent, deliver."""

import asyncio
import random
from collections.abc import Callable
from itertools import count
from typing import Protocol

from aiohttp import web

from gateway.errors import Draining, GatewayError
from gateway.policy.access import Client
from gateway.policy.retry import Fail, RetryBudget, RetryConfig, judge
from gateway.record import Record
from gateway.translate import failure
from gateway.translate.stream import StreamTranslator, decode
from gateway.upstream.client import GeminiClient
from gateway.wire.gemini import GeminiCall, GenerateContentResponse


class Reply(Protocol):
    """The client's side of a stream."""

    begun: bool
    """Status and headers are out: an error can only be told inside the stream."""
    said: bool
    """Content is out: nothing may be tried again."""

    async def write(self, data: bytes) -> None: ...
    async def finish(self) -> web.StreamResponse: ...


class Exchange:
    """Carries calls through attempts; the retry budget is shared by all of them."""

    def __init__(self, upstream: GeminiClient, retry: RetryConfig) -> None:
        self._upstream = upstream
        self._retry = retry
        self._budget = RetryBudget()

    async def complete(self, call: GeminiCall, client: Client, record: Record) -> GenerateContentResponse:
        """A whole answer. Raises GatewayError when no attempt brought one."""
        for attempt in count(1):
            record.attempts = attempt
            try:
                response = decode(await self._upstream.send(call, client.key))
                if response.error is not None:
                    raise failure.from_status(response.error.code, response.error)
            except GatewayError as error:
                await self._pause(error, attempt, record)
                continue
            self._succeeded(record)
            # Neither an answer nor a reason is a passing fault: once more, then as it is (translation.md C.9).
            if response.candidates or response.prompt_feedback is not None or attempt > 1:
                return response
        raise AssertionError("the loop above never ends by itself")

    async def stream(
        self,
        call: GeminiCall,
        client: Client,
        reply: Reply,
        record: Record,
        new: Callable[[], StreamTranslator],
    ) -> web.StreamResponse:
        """Relay a stream to the client. Raises GatewayError only while the reply has not begun."""
        for attempt in count(1):
            record.attempts = attempt
            translator = new()
            try:
                await self._relay(call, client, reply, translator)
            except GatewayError as error:
                if not reply.said and await self._try_again(error, attempt, record, reply):
                    continue
                await self._tell(error, translator, reply, record)
            except asyncio.CancelledError as cancelled:
                if not reply.begun or cancelled.args != (Draining.CANCELLED,):
                    raise
                await self._tell(Draining(), translator, reply, record)
            else:
                self._succeeded(record)
            record.count(translator.usage)
            return await reply.finish()
        raise AssertionError("the loop above never ends by itself")

    async def _relay(
        self, call: GeminiCall, client: Client, reply: Reply, translator: StreamTranslator
    ) -> None:
        """One attempt: each upstream read becomes at most one write. Raises what the translator kept."""
        async with await self._upstream.open(call, client.key) as incoming:
            async for data in incoming:
                if out := translator.feed(data):
                    await reply.write(out)
                if translator.error is not None:
                    raise translator.error
        if out := translator.close():
            await reply.write(out)
        if translator.error is not None:
            raise translator.error

    async def _tell(
        self, error: GatewayError, translator: StreamTranslator, reply: Reply, record: Record
    ) -> None:
        """The status is gone: an error frame ends the stream."""
        record.failed(error)
        await reply.write(translator.fail(error))

    async def _try_again(self, error: GatewayError, attempt: int, record: Record, reply: Reply) -> bool:
        """Whether to; raises the error when it can still be an HTTP status."""
        try:
            await self._pause(error, attempt, record)
        except GatewayError:
            if not reply.begun:
                raise
            return False
        return True

    async def _pause(self, error: GatewayError, attempt: int, record: Record) -> None:
        """Wait before another attempt, or raise the error."""
        record.upstream_status = error.upstream_status or record.upstream_status
        verdict = judge(error, attempt, self._budget, self._retry, random.random())  # noqa: S311 - jitter
        if isinstance(verdict, Fail):
            raise verdict.error
        await asyncio.sleep(verdict.after)

    def _succeeded(self, record: Record) -> None:
        record.upstream_status = 200
        self._budget.earn()
