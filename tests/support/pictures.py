"""Pictures for tests, and an upstream that answers with them."""

import base64
import io
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from tests.support.servers import upstream_of

RED, BLUE = (255, 0, 0), (0, 0, 255)
Colour = tuple[int, ...]


def picture(form: str = "png", size: tuple[int, int] = (8, 6), colour: Colour = RED) -> bytes:
    """Return a picture of one colour; with four numbers the last is its opacity."""
    out = io.BytesIO()
    options = {"lossless": True} if form == "webp" else {}
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(out, form, **options)
    return out.getvalue()


def pixel(data: bytes, at: tuple[int, int] = (0, 0)) -> Colour:
    """Return the colour of one pixel."""
    value = Image.open(io.BytesIO(data)).convert("RGB").getpixel(at)
    assert isinstance(value, tuple)
    return tuple(int(part) for part in value)


def inline(data: bytes, mime_type: str = "image/png", **fields: Any) -> dict[str, Any]:
    """Return a part of an answer with a picture."""
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}, **fields}


PNG = picture()
JPEG = picture("jpeg")
USAGE = {
    "promptTokenCount": 4, "candidatesTokenCount": 1120, "thoughtsTokenCount": 210, "totalTokenCount": 1334,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 4}],
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}],
}  # fmt: skip


def drawn(*parts: Any, finish: str = "STOP", usage: Any = USAGE, **fields: Any) -> dict[str, Any]:
    """Return Gemini's answer with these parts, or with one picture."""
    content = {"role": "model", "parts": list(parts) or [inline(PNG)]}
    return {
        "candidates": [{"content": content, "finishReason": finish, "index": 0}],
        "usageMetadata": usage,
        **fields,
    }


class Painter:
    """An upstream that answers each call with the next of its answers, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any] | tuple[int, Any]] = [drawn()]
        """Answers, each alone for a 200 or with a status."""
        self.calls: list[tuple[str, Any]] = []
        """Path and body of each call."""
        self.url = ""

    async def start(self, aiohttp_server: Callable[..., Awaitable[TestServer]]) -> "Painter":
        self.url = await upstream_of(aiohttp_server, self._answer)
        return self

    async def _answer(self, request: web.Request) -> web.Response:
        self.calls.append((request.path, json.loads(await request.read())))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        return web.json_response(body, status=status)

    @property
    def models(self) -> list[str]:
        """The model of each call."""
        return [path.rpartition("/")[2].partition(":")[0] for path, _ in self.calls]

    @property
    def config(self) -> Any:
        """The generationConfig of the last call."""
        return self.calls[-1][1]["generationConfig"]

    @property
    def parts(self) -> Sequence[Any]:
        """The parts of the last call."""
        [content] = self.calls[-1][1]["contents"]
        assert content["role"] == "user"
        parts: Sequence[Any] = content["parts"]
        return parts


def failed(status: int, message: str = "no") -> tuple[int, Any]:
    """Return Google's error."""
    return status, {"error": {"code": status, "message": message, "status": "X"}}
