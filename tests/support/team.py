"""A gateway with a pool of projects and a ledger, in front of an upstream that answers each key as it is told."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import sqlalchemy as sa
from aiohttp import web

from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import attempt, open_engine
from tests.support.servers import Serve
from tests.support.waiting import eventually

GOOGLE = "type.googleapis.com/google.rpc."


Answer = Callable[[], web.Response]
"""What Google answers to a key."""


def good(text: str = "hi", prompt: int = 10, completion: int = 5) -> web.Response:
    """Return an answer that does not say which model it is of, so that it is of the one that was asked."""
    counts = {"promptTokenCount": prompt, "candidatesTokenCount": completion}
    candidate = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
    return web.json_response({"candidates": [candidate], "usageMetadata": counts})


def refused(status: int, message: str = "no", **details: Any) -> web.Response:
    result = [{"@type": GOOGLE + kind, **fields} for kind, fields in details.items()]
    return web.json_response(
        {"error": {"code": status, "message": message, "details": result}}, status=status
    )


def spent(quota: str = "RequestsPerMinute", delay: str = "30s") -> web.Response:
    return refused(429, QuotaFailure={"violations": [{"quotaId": quota}]}, RetryInfo={"retryDelay": delay})


class Google:
    """An upstream that answers each key as it is told, and counts."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.calls: Counter[str] = Counter()
        self.hold = asyncio.Event()
        self.hold.set()
        self.bodies: list[Any] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        key = request.headers["x-goog-api-key"]
        self.calls[key] += 1
        self.bodies.append(await request.json() if request.can_read_body else None)
        await self.hold.wait()
        result: web.Response = self.answers.get(key, good)()
        if "stream" in request.path and result.status == 200:
            assert isinstance(result.body, bytes)
            data = b"data: " + result.body + b"\r\n\r\n"
            return web.Response(body=data, headers={"Content-Type": "text/event-stream"})
        return result


class Team:
    """A gateway with three projects, and its ledger."""

    def __init__(self, serve: Serve, folder: Path, upstream: str) -> None:
        serve.environ = {f"KEY_{name.upper()}": f"AIza-{name}" for name in "abc"}
        self._serve = serve
        self._upstream = upstream
        self.file = folder / "ledger.db"
        self.config = f"ledger: {{url: {self.file}}}\nstate: {{file: {folder}/state.db}}\n"
        self.base = ""

    async def start(self, projects: str = "abc", more: str = "") -> None:
        listed = ", ".join(f"{{name: {entry}, keys: [{{env: KEY_{entry.upper()}}}]}}" for entry in projects)
        self.base = await self._serve(f"pool: {{projects: [{listed}]}}\n{self.config}{more}", self._upstream)

    def issue(self, **rules: Any) -> str:
        """A new key; call it before `start`, or wait for it to be known."""
        engine = open_engine(str(self.file), None)
        _, key = client_keys.issue(engine, "x", Rules(**rules), time(), None)
        engine.dispose()
        return key

    async def ask(self, key: str, model: str = "gemini-2.5-flash", **fields: Any) -> tuple[int, Any, Any]:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], **fields}
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http,
            http.post(f"{self.base}/v1/chat/completions", json=body) as response,
        ):
            text = await response.text()
            return response.status, response.headers, text if fields.get("stream") else json.loads(text)

    def rows(self) -> list[Any]:
        engine = open_engine(str(self.file), None)
        with engine.connect() as connection:
            result = connection.execute(sa.select(attempt).order_by(attempt.c.at)).all()
        engine.dispose()
        return list(result)

    async def settled(self) -> list[Any]:
        """Return the ledger's rows once all calls have ended: an answer does not wait for the last commit."""
        await eventually(lambda: all(row.ended is not None for row in self.rows()))
        return self.rows()
