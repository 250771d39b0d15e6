"""An upstream that transcribes: it answers with the words that a test gives it."""

import json
from typing import Any

import pytest
from aiohttp import web

from tests.support.servers import upstream_of


def heard(text: str, *words: tuple[str, float, float, str], **fields: Any) -> dict[str, Any]:
    """Return an interaction with a transcript, and the times of words."""
    notes = [
        {
            "type": "word_info",
            "text": word,
            "start_offset": f"{start}s",
            "end_offset": f"{end}s",
            "speaker": speaker,
        }
        for word, start, end, speaker in words
    ]
    content = {"type": "text", "text": text, **({"annotations": notes} if notes else {})}
    usage = {
        "total_input_tokens": 35, "total_output_tokens": 4, "total_tokens": 39,
        "input_tokens_by_modality": [{"modality": "audio", "tokens": 35}],
    }  # fmt: skip
    return {
        "id": "v1_x", "status": "completed", "steps": [{"type": "model_output", "content": [content]}],
        "usage": usage, **fields,
    }  # fmt: skip


def said(text: str, finish: str = "STOP") -> dict[str, Any]:
    """Return a chat model's answer."""
    counts = {
        "promptTokenCount": 40, "candidatesTokenCount": 4, "totalTokenCount": 44,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 32}, {"modality": "TEXT", "tokenCount": 8}],
    }  # fmt: skip
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": finish}
    return {"candidates": [candidate], "usageMetadata": counts}


def refused(status: int, message: str = "no") -> tuple[int, dict[str, Any]]:
    """Return Google's refusal."""
    return status, {"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}


class Hearer:
    """Answers with each of `answers` in turn, then with the last; a list is a stream."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[Any] = [heard("Hello world.")]
        self.paths: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    @property
    def config(self) -> Any:
        """The transcription_config of the last request."""
        return self.bodies[-1]["generation_config"]["transcription_config"]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path_qs)
        self.bodies.append(json.loads(await request.read()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, tuple):
            return web.json_response(answer[1], status=answer[0])
        if not isinstance(answer, list):
            return web.json_response(answer)
        data = b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in answer)
        return web.Response(body=data, headers={"Content-Type": "text/event-stream"})


@pytest.fixture
async def hearer(aiohttp_server: Any) -> Hearer:
    """The upstream."""
    upstream = Hearer()
    upstream.url = await upstream_of(aiohttp_server, upstream.answer)
    return upstream
