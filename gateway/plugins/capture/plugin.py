"""The plugin `capture`."""

import asyncio
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from time import time
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
        self._waiting: asyncio.Queue[Captured] = asyncio.Queue(_MOST_WAITING)
        self.services.background(f"{self.name} writer", self._write)
        self.services.background(f"{self.name} retention", self._prune)
        yield
        while not self._waiting.empty():
            await asyncio.to_thread(self._write_one, self._waiting.get_nowait())

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
        try:
            self._waiting.put_nowait(record)
        except asyncio.QueueFull:
            self.services.count(self.name, "left out")

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
            record = await self._waiting.get()
            await asyncio.shield(asyncio.to_thread(self._write_one, record))  # also at the end
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
