"""A team's gateway with batches, in front of the emulator, and a client that sends them."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.files import FileClient, FileTeam, team_of
from tests.support.servers import Serve

CHAT = "/v1/chat/completions"
FLASH = "gemini-3.5-flash-lite"
ENDED = ("completed", "failed", "expired", "cancelled")


def chat_body(text: str = "1+1?", model: str = FLASH, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def line(custom_id: str, body: Any = None, url: str = CHAT) -> dict[str, Any]:
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": url,
        "body": chat_body() if body is None else body,
    }


def jsonl(lines: Sequence[Any]) -> bytes:
    """Lines of JSON; bytes are left as they are."""
    return b"".join(
        (each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines
    )


def job(state: str, *answers: Any, **more: Any) -> web.Response:
    """Google's batch in a state, with answers inline."""
    output = {"output": {"inlinedResponses": {"inlinedResponses": list(answers)}}} if answers else {}
    metadata = {"state": f"BATCH_STATE_{state}", **output, **more}
    return web.json_response({"name": "batches/x", "done": state != "RUNNING", "metadata": metadata})


def said(key: str, text: str = "2", prompt: int = 4, completion: int = 1) -> dict[str, Any]:
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": completion,
        "totalTokenCount": prompt + completion,
    }
    candidate = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
    return {"response": {"candidates": [candidate], "usageMetadata": usage}, "metadata": {"key": key}}


class BatchClient(FileClient):
    """A client with a key that sends batches."""

    async def create(
        self, lines: Sequence[Any] | bytes, endpoint: str = CHAT, **more: Any
    ) -> tuple[int, Any]:
        """Upload lines, and create a batch of them."""
        data = lines if isinstance(lines, bytes) else jsonl(lines)
        file = await self.upload(data, "in.jsonl", "batch")
        body = {"input_file_id": file["id"], "endpoint": endpoint, "completion_window": "24h", **more}
        return await self.call("POST", "/v1/batches", json=body)

    async def started(self, lines: Sequence[Any] | bytes, endpoint: str = CHAT, **more: Any) -> str:
        """Return the id of a new batch."""
        status, batch = await self.create(lines, endpoint, **more)
        assert (status, batch.get("status")) == (200, "validating"), batch
        return str(batch["id"])

    async def show(self, batch: str) -> Any:
        status, shown = await self.call("GET", f"/v1/batches/{batch}")
        assert status == 200, shown
        return shown

    async def reached(self, batch: str, *states: str, seconds: float = 30.0) -> Any:
        """Return a batch once it is in one of some states."""
        async with asyncio.timeout(seconds):
            while True:
                shown = await self.show(batch)
                if shown["status"] in states:
                    return shown
                assert shown["status"] not in ENDED, shown
                await asyncio.sleep(0.02)

    async def notes(self, path: str) -> set[str]:
        """Return the notes of the answer at a path."""
        async with (
            aiohttp.ClientSession(headers=self.headers) as http,
            http.get(self.base + path) as response,
        ):
            assert response.status == 200
            return set(response.headers.get("x-gateway-notes", "").split(","))

    async def content(self, file: str | None) -> list[Any]:
        """Return the lines of a file; none for no file."""
        if file is None:
            return []
        async with (
            aiohttp.ClientSession(headers=self.headers) as http,
            http.get(f"{self.base}/v1/files/{file}/content") as response,
        ):
            assert response.status == 200
            return [json.loads(each) for each in (await response.read()).splitlines()]


class BatchTeam(FileTeam):
    """A gateway with projects, a ledger, files and batches."""

    async def begin(
        self, projects: str = "a", options: str = "poll: 0.1, longest_poll: 0.1", key: str = ""
    ) -> BatchClient:
        """Start the gateway, or start it again. Return a client."""
        self.key = key or self.key or self.team.issue()
        names = "chat, responses, messages, embeddings, completions, moderations, images, native, models, translate"
        plugins = ", ".join(f"{name}: {{}}" for name in names.split(", "))
        folders = (
            f"files: {{path: '{self.folder}'}}, batches: {{path: '{self.folder.parent}/batches', {options}}}"
        )
        await self.team.start(projects, f"plugins: {{{plugins}, {folders}}}\n")
        return self.of(self.key)

    def of(self, key: str) -> BatchClient:
        return BatchClient(self.team.base, key)

    def calls(self, word: str) -> list[tuple[str, str, str, Any]]:
        """The calls of Google's whose path has a word."""
        return [call for call in self.seen if word in call[1]]


def batch_team(serve: Serve, folder: Path) -> AbstractAsyncContextManager[BatchTeam]:
    """Start the emulator, and return the team in front of it."""
    return team_of(BatchTeam, serve, folder)
