"""A hook on finished answers, with a background task and a folder of its own: one JSON line for each answer."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from gateway.exchange.context import RequestContext
from gateway.exchange.finished_answer import FinishedAnswer
from gateway.exchange.hooks import HookOptions
from gateway.plugin import Plugin


class Journal(Plugin):
    """Write who asked what model, how it ended and what it cost to a file."""

    class Config(HookOptions, frozen=True, forbid_unknown_fields=True):
        file: str = "answers.jsonl"

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        self._lines: asyncio.Queue[bytes] = asyncio.Queue(10_000)
        self._path = self.services.folder(self.name) / self.config.file
        self.services.background(f"{self.name} writer", self._write)
        yield

    async def on_answer(self, answer: FinishedAnswer, context: RequestContext) -> None:
        line = {"request": context.request_id, "client": context.client.fingerprint, "surface": context.surface,
                "model": answer.model, "status": answer.status, "text": answer.text, "reason": answer.finish_reason,
                "tokens": answer.usage.total, "dollars": answer.dollars}  # fmt: skip
        self._lines.put_nowait(msgspec.json.encode(line) + b"\n")

    async def _write(self) -> None:
        while True:
            line = await self._lines.get()
            await asyncio.to_thread(
                self._append, line
            )  # a failure is logged, counted, and followed by a restart

    def _append(self, line: bytes) -> None:
        with self._path.open("ab") as file:
            file.write(line)
