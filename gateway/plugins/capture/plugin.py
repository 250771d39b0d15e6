"""The plugin `capture`."""

import asyncio
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from time import monotonic, time
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from gateway.exchange.context import RequestContext
from gateway.exchange.finished_answer import FinishedAnswer
from gateway.exchange.hooks import HookOptions
from gateway.gemini.request_json import JsonObject
from gateway.plugin import Plugin
from gateway.plugins.capture import files
from gateway.plugins.capture.record import Captured, fitted, without_secrets

Part = Literal["request", "gemini", "answer"]
_DAY = 86_400.0
_MIB = 2**20
_PRUNE = 300.0
"""Seconds between two looks at the age and size of all files."""
_MOST_WAITING = 200
"""Records that wait to be written; more are left out."""
_SHARE = 8
"""Part of `limits.memory`, as 1/n, that records may hold that wait; more are left out."""
_FREE = 0.8
"""Part of `limits.memory` beyond which no record is kept."""
_LAST_WRITES = 5.0
"""Seconds for what waits at the stop."""
_QUIET = 60.0
"""Seconds between two lines about records that were left out."""


class _Seen(Struct):
    """Bodies of one request that have passed so far."""

    request: Any = None
    calls: list[Any] = []


class Capture(Plugin):
    """Writes bodies of requests and answers into files."""

    class Config(HookOptions, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.capture`."""

        parts: Annotated[
            tuple[Part, ...],
            Meta(
                min_length=1, description="Bodies that are kept: the client's request, Gemini's, the answer."
            ),
        ] = ("request", "gemini", "answer")
        clients: Annotated[
            tuple[str, ...],
            Meta(
                description="Names or ids of issued keys, or fingerprints of clients' own keys, with `*` for any text. "
                "Without any: all clients."
            ),
        ] = ()
        models: Annotated[
            tuple[str, ...], Meta(description="Models that answered, with `*`. Without any: all models.")
        ] = ()
        only_errors: Annotated[
            bool, Meta(description="Keep only requests that were answered 400 or more.")
        ] = False
        days: Annotated[float, Meta(gt=0, le=3650, description="Days after which a file is deleted.")] = 7.0
        megabytes: Annotated[
            int,
            Meta(ge=1, le=1_000_000, description="Size of all files together; the oldest are deleted first."),
        ] = 256
        largest: Annotated[
            int, Meta(ge=1, le=1000, description="MiB of one file; its largest bodies are left out.")
        ] = 8

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        self._folder = self.services.folder(self.name)
        self._waiting: asyncio.Queue[tuple[Captured, int]] = asyncio.Queue(_MOST_WAITING)
        self._hold = self.services.memory.open()
        self._hold.owner = f"plugin {self.name}"
        self._logged = -_QUIET
        self.services.background(f"{self.name} writer", self._write)
        self.services.background(f"{self.name} retention", self._prune)
        yield
        try:
            async with asyncio.timeout(_LAST_WRITES):
                while not self._waiting.empty():
                    await asyncio.to_thread(self._write_one, self._waiting.get_nowait()[0])
        except TimeoutError:
            self.logger.warning("capture: %d requests were not written before the end", self._waiting.qsize())
        finally:
            self._hold.release()

    async def on_request(self, body: JsonObject, context: RequestContext) -> JsonObject | None:
        """Note the client's body."""
        if "request" in self.config.parts and self._is_wanted(context):
            self._seen(context).request = body
        return None

    async def on_call(self, model: str, body: JsonObject, context: RequestContext) -> JsonObject | None:
        """Note Gemini's request."""
        if "gemini" in self.config.parts and self._is_wanted(context):
            seen = self._seen(context)
            seen.calls = [*seen.calls, {"model": model, "body": body}]
        return None

    async def on_answer(self, answer: FinishedAnswer, context: RequestContext) -> None:
        """Keep what has passed."""
        config = self.config
        if not self._is_wanted(context) or (config.only_errors and answer.status < 400 and not answer.error):
            return
        if config.models and not any(fnmatchcase(answer.model, pattern) for pattern in config.models):
            return
        seen: _Seen = context.values.pop(self.name, _Seen())
        record = Captured(
            context.request_id, time(), context.method, context.path, context.surface,
            self.services.client_name(context.client), answer.model, answer.status, answer.error, answer.seconds,
            answer.dollars, {k: v for k, v in msgspec.structs.asdict(answer.usage).items() if v}, seen.request,
            seen.calls,
            [msgspec.to_builtins(choice) for choice in answer.choices] if "answer" in config.parts else [],
        )  # fmt: skip
        self._queue(record, _size(record, context.memory.admitted))

    def _queue(self, record: Captured, size: int) -> None:
        """Let a record wait for the writer, or leave it out where the memory or the queue is full."""
        account, hold = self.services.memory, self._hold
        fits = (
            hold.size + size <= account.limit // _SHARE
            and account.used + account.unsent + size <= _FREE * account.limit
        )
        if fits and not self._waiting.full():
            hold.take(size)
            self._waiting.put_nowait((record, size))
            return
        self.services.count(self.name, "left out")
        if monotonic() - self._logged >= _QUIET:
            self._logged = monotonic()
            self.logger.warning(
                "capture: request %s is left out: %d requests of %d bytes wait to be written", record.id,
                self._waiting.qsize(), hold.size,
            )  # fmt: skip

    def _is_wanted(self, context: RequestContext) -> bool:
        patterns, client = self.config.clients, context.client
        if not patterns:
            return True
        names = (self.services.client_name(client), client.id or client.fingerprint)
        return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)

    def _seen(self, context: RequestContext) -> _Seen:
        seen: _Seen = context.values.setdefault(self.name, _Seen())
        return seen

    async def _write(self) -> None:
        while True:
            record, size = await self._waiting.get()
            try:
                await asyncio.shield(asyncio.to_thread(self._write_one, record))  # also at the end
            finally:
                self._hold.shrink(max(0, self._hold.size - size))
            self.services.count(self.name, "written")

    def _write_one(self, record: Captured) -> None:
        for name in ("request", "calls", "answer"):
            setattr(record, name, without_secrets(getattr(record, name)))
        record.path = without_secrets(record.path)
        files.write(self._folder, fitted(record, files.size_of(record), self.config.largest * _MIB))

    async def _prune(self) -> None:
        while True:
            before, most = time() - self.config.days * _DAY, self.config.megabytes * _MIB
            await asyncio.to_thread(files.prune, self._folder, before, most)
            await asyncio.sleep(_PRUNE)


def _size(record: Captured, body: int) -> int:
    """Return the bytes that a record holds, about. `body` is what was accounted for four copies of the client's."""
    copies = (record.request is not None) + len(record.calls)
    return body * copies // 2 + 4 * sum(
        len(choice["text"]) + len(choice["thoughts"]) for choice in record.answer
    )
