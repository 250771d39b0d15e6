"""A team's gateway that keeps files, in front of the emulator, and what a client does with them."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.emulator.server import build_fake
from tests.support.forms import BOUNDARY, Field, form
from tests.support.servers import Serve
from tests.support.team import Team

PDF = b"%PDF-1.7\nhello"
ANTHROPIC = {"anthropic-version": "2023-06-01", "anthropic-beta": "files-api-2025-04-14"}


class FileClient:
    """A client with a key."""

    def __init__(self, base: str, key: str) -> None:
        self.base = base
        self.headers = {"Authorization": f"Bearer {key}"}

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Return status and JSON."""
        more["headers"] = self.headers | more.get("headers", {})
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, self.base + path, **more) as response,
        ):
            return response.status, await response.json(content_type=None)

    async def post_form(self, path: str, fields: Sequence[Field], **headers: str) -> tuple[int, Any]:
        """Post a form."""
        headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
        return await self.call("POST", path, data=io.BytesIO(form(fields)), headers=headers)

    async def upload(
        self, data: bytes = PDF, name: str = "a.pdf", purpose: str = "user_data", more: Sequence[Field] = ()
    ) -> Any:
        """Return the object of a new file."""
        fields: list[Field] = [("purpose", purpose), ("file", data, name, "application/octet-stream"), *more]
        status, answer = await self.post_form("/v1/files", fields)
        assert status == 200, answer
        return answer

    async def ask(self, file: str, **more: Any) -> tuple[int, Any]:
        """Ask a model about a file."""
        content = [{"type": "text", "text": "What is it?"}, {"type": "file", "file": {"file_id": file}}]
        body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": content}], **more}
        return await self.call("POST", "/v1/chat/completions", json=body)


class FileTeam:
    """A gateway with projects and a ledger, whose upstream is the emulator."""

    def __init__(self, serve: Serve, url: str, folder: Path) -> None:
        self.folder = folder / "files"
        self.team = Team(serve, folder, url)
        self.key = ""
        self.seen: list[tuple[str, str, str, Any]] = []
        """Method, path, key and body of each call of Google's."""
        self.answers: dict[str, web.Response] = {}
        """Answers to the next calls whose path contains a word, in place of the emulator's."""
        self.holds: dict[str, asyncio.Event] = {}
        """Keys whose calls wait for an event."""
        self.cut: list[tuple[str, bool]] = []
        """Words of the paths whose next call gets no answer, and whether the emulator has done it."""

    async def start(self, projects: str = "a", options: str = "", more: str = "") -> FileClient:
        """Start the gateway, or start it again. Return a client."""
        self.key = self.key or self.team.issue()
        plugins = "plugins: {chat: {}, responses: {}, messages: {}, native: {}, models: {}, files: {path: '%s'%s}}\n"
        await self.team.start(projects, plugins % (self.folder, options) + more)
        return self.client(self.key)

    def client(self, key: str) -> FileClient:
        return FileClient(self.team.base, key)

    def uploads(self) -> list[str]:
        """The keys with which files were uploaded to Google."""
        return [
            key for _, path, key, _ in self.seen if path.startswith("/upload/") and "upload_id" not in path
        ]

    def parts(self) -> list[Any]:
        """The parts of the last turn of each call of a model."""
        return [body["contents"][-1]["parts"] for _, path, _, body in self.seen if "enerateContent" in path]


T = TypeVar("T", bound=FileTeam)


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def file_team(serve: Serve, folder: Path) -> AbstractAsyncContextManager[FileTeam]:
    """Start the emulator, and return the team in front of it."""
    return team_of(FileTeam, serve, folder)


@asynccontextmanager
async def team_of(kind: type[T], serve: Serve, folder: Path) -> AsyncIterator[T]:
    """Start the emulator, and return a team of a kind in front of it."""

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        body = await request.json() if "enerateContent" in request.path else None
        key = request.headers.get("x-goog-api-key", "").removeprefix("AIza-")
        team.seen.append((request.method, request.path_qs, key, body))
        if key in team.holds:
            await team.holds[key].wait()
        for word in list(team.answers):
            if word in request.path:
                return team.answers.pop(word)
        for word, is_done in list(team.cut):
            if word in request.path:
                team.cut.remove((word, is_done))
                if is_done:
                    await handler(request)
                if request.transport is not None:
                    request.transport.abort()
        return await handler(request) if not _is_gone(request) else web.Response()

    app = build_fake(pace=0.001)
    app.middlewares.append(record)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    team = kind(serve, f"http://127.0.0.1:{runner.addresses[0][1]}", folder)
    yield team
    await runner.cleanup()
