"""An upstream that speaks: it answers with the sounds that a test gives it."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from tests.support.servers import upstream_of
from tests.support.sounds import tone, wav

TONE = tone(0.1)
COUNTS = {
    "promptTokenCount": 9,
    "candidatesTokenCount": 40,
    "totalTokenCount": 49,
    "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 40}],
}


def spoken(data: bytes, mime: str = "audio/wav", finish: str = "STOP", **fields: Any) -> dict[str, Any]:
    """Return Gemini's answer with a sound."""
    part = {"inlineData": {"mimeType": mime, "data": base64.b64encode(data).decode()}}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": finish}
    return {"candidates": [candidate], "usageMetadata": COUNTS, **fields}


def silent(finish: str = "OTHER", text: str = "", **fields: Any) -> dict[str, Any]:
    """Return an answer without sound."""
    content = {"content": {"role": "model", "parts": [{"text": text}]}} if text else {}
    return {"candidates": [{**content, "finishReason": finish}], "usageMetadata": COUNTS, **fields}


def refused(status: int, message: str) -> tuple[int, dict[str, Any]]:
    """Return Google's refusal."""
    return status, {"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}


Answer = dict[str, Any] | list[Any] | tuple[int, dict[str, Any]]


class Speaker:
    """Answers with each of `answers` in turn, then with the last; a list is a stream, which None cuts off."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[Answer] = [spoken(wav(TONE))]
        self.speak: Callable[[dict[str, Any]], Answer] | None = None
        """Answers in place of `answers`."""
        self.hold = asyncio.Event()
        """Set to go on where a stream says "hold"."""
        self.last: web.Request
        """The last request."""
        self.paths: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    @property
    def parts(self) -> Any:
        """The parts of the last request."""
        return self.bodies[-1]["contents"][0]["parts"]

    @property
    def voice(self) -> Any:
        """The voice of the last request."""
        return self.bodies[-1]["generationConfig"]["speechConfig"]["voiceConfig"]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.last = request
        self.paths.append(request.path_qs)
        body = json.loads(await request.read())
        self.bodies.append(body)
        if self.speak is not None:
            answer = self.speak(body)
        else:
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, tuple):
            return web.json_response(answer[1], status=answer[0])
        if not request.path.endswith(":streamGenerateContent"):
            return web.json_response(answer)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in answer if isinstance(answer, list) else [answer]:
            if chunk is None:
                assert request.transport is not None
                request.transport.abort()
                return response
            if chunk == "hold":
                await self.hold.wait()
                continue
            await response.write(b"data: %s\n\n" % json.dumps(chunk).encode())
        await response.write_eof()
        return response


@pytest.fixture
async def speaker(aiohttp_server: Any) -> Speaker:
    """The upstream."""
    upstream = Speaker()
    upstream.url = await upstream_of(aiohttp_server, upstream.answer)
    return upstream
