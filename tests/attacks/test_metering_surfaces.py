"""The ledger's rows are what Google meters, by kind of token, on every surface that makes or reads media."""

import asyncio
import base64
import json
from collections import Counter
from pathlib import Path
from random import Random
from time import time
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.gemini.usage import TokenCounts
from gateway.plugin import SERVICES
from tests.support.forms import BOUNDARY, form
from tests.support.pictures import PNG
from tests.support.servers import Serve, upstream_of
from tests.support.sounds import tone, wav
from tests.support.team import Team

pytestmark = pytest.mark.row("A7")
CHAT, IMAGE, SPEECH, SCRIBE = (
    "gemini-2.5-flash",
    "gemini-nano-banana-2.1",
    "gemini-3.8-flash-tts",
    "gemini-3.5-transcribe",
)
PLUGINS = (
    "plugins: {chat: {}, completions: {}, responses: {}, messages: {}, embeddings: {}, native: {}, images: {}, speech: {}, "
    "transcription: {}}\n"
)
SOUND = base64.b64encode(tone(0.2)).decode()
INPUT = {
    "type": "input_audio",
    "input_audio": {"data": base64.b64encode(wav(tone(0.2))).decode(), "format": "wav"},
}
PICTURE = {
    "type": "image_url",
    "image_url": {"url": "data:image/png;base64," + base64.b64encode(PNG).decode()},
}
TURN = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, INPUT, PICTURE]}]}
TEXT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 90}
CONTENTS = {"contents": [{"parts": [{"text": "hi"}]}]}
DRAW: dict[str, Any] = {"model": IMAGE, "prompt": "a cat"}
SPEAK: dict[str, Any] = {"model": SPEECH, "input": "hi", "voice": "alloy", "response_format": "pcm"}
JSON: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": CHAT, **TURN}),
    "chat stream": ("/v1/chat/completions", {"model": CHAT, **TURN, "stream": True}),
    "completions": ("/v1/completions", {"model": CHAT, "prompt": "hi"}),
    "responses": ("/v1/responses", {"model": CHAT, "input": "hi"}),
    "responses stream": ("/v1/responses", {"model": CHAT, "input": "hi", "stream": True}),
    "messages": ("/v1/messages", {"model": CHAT, **TEXT}),
    "messages stream": ("/v1/messages", {"model": CHAT, **TEXT, "stream": True}),
    "native": (f"/v1beta/models/{CHAT}:generateContent", CONTENTS),
    "native stream": (f"/v1beta/models/{CHAT}:streamGenerateContent?alt=sse", CONTENTS),
    "interactions": ("/v1beta/interactions", {"model": CHAT, "input": "hi"}),
    "interactions stream": ("/v1beta/interactions", {"model": CHAT, "input": "hi", "stream": True}),
    "image": ("/v1/images/generations", DRAW),
    "images": ("/v1/images/generations", {**DRAW, "n": 3}),
    "image stream": ("/v1/images/generations", {**DRAW, "stream": True}),
    "speech": ("/v1/audio/speech", SPEAK),
    "speech stream": ("/v1/audio/speech", {**SPEAK, "stream_format": "sse"}),
    "long speech": ("/v1/audio/speech", {**SPEAK, "input": "A sentence that is not short. " * 200}),
}
FORMS: dict[str, tuple[str, list[Any]]] = {
    "edit": ("/v1/images/edits", [("model", IMAGE), ("prompt", "x"), ("image", PNG, "a.png", "image/png")]),
    "edit stream": ("/v1/images/edits", [("prompt", "x"), ("stream", "true"), ("image", PNG, "a.png", "image/png")]),
    **{
        f"transcription {name}": ("/v1/audio/transcriptions", [("file", wav(tone(0.3)), "a.wav", "audio/wav"), *fields])
        for name, fields in {
            "json": [("model", SCRIBE)],
            "srt": [("model", SCRIBE), ("response_format", "srt")],
            "stream": [("model", SCRIBE), ("stream", "true")],
            "chat": [("model", CHAT)],
            "chat stream": [("model", CHAT), ("stream", "true")],
        }.items()
    },
}  # fmt: skip
SURFACES = [*JSON, *FORMS]
SINGLE = [surface for surface in SURFACES if surface not in ("images", "long speech")]
"""Surfaces whose request is one call."""


class Meter:
    """Google's side: counts that are others for each call, and the bill of each."""

    def __init__(self) -> None:
        self.random = Random(19)
        self.bills: list[tuple[str, TokenCounts]] = []
        self.failing = 0
        """Calls that are refused with 503 before others succeed."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if self.failing:
            self.failing -= 1
            return web.json_response(
                {"error": {"code": 503, "status": "UNAVAILABLE", "message": "x"}}, status=503
            )
        model = body.get("model") or request.path.rpartition("/")[2].partition(":")[0]
        counts = self.drawn(model)
        self.bills.append((model, counts))
        if "interactions" in request.path:
            return _interaction(counts, streams=bool(body.get("stream")))
        return _content(model, counts, streams="stream" in request.path)

    def drawn(self, model: str) -> TokenCounts:
        """Return the counts of one more call, as many of each kind as Google may bill."""
        random = self.random
        prompt = random.randint(100, 5000)
        heard, seen = random.randint(0, prompt // 3), random.randint(0, prompt // 3)
        cached = random.randint(0, prompt // 2)
        cached_audio = random.randint(0, min(cached, heard))
        completion = random.randint(20, 900)
        part = random.randint(0, completion)
        return TokenCounts(
            prompt=prompt, cached=cached, tool_use=random.randint(0, 50), completion=completion,
            thoughts=random.randint(0, 300), prompt_text=prompt - heard - seen, prompt_image=seen, prompt_audio=heard,
            cached_audio=cached_audio, completion_image=part if model == IMAGE else 0,
            completion_audio=part if model == SPEECH else 0,
            searches=random.randint(0, 3) if model == CHAT else 0, maps=random.randint(0, 1) if model == CHAT else 0,
        )  # fmt: skip


def _details(**counts: int) -> list[dict[str, Any]]:
    return [{"modality": name, "tokenCount": count} for name, count in counts.items() if count]


def _content(model: str, c: TokenCounts, *, streams: bool) -> web.Response:
    usage = {
        "promptTokenCount": c.prompt, "cachedContentTokenCount": c.cached, "toolUsePromptTokenCount": c.tool_use,
        "candidatesTokenCount": c.completion, "thoughtsTokenCount": c.thoughts,
        "totalTokenCount": c.total,
        "promptTokensDetails": _details(TEXT=c.prompt_text, IMAGE=c.prompt_image, AUDIO=c.prompt_audio),
        "cacheTokensDetails": _details(TEXT=c.cached - c.cached_audio, AUDIO=c.cached_audio),
        "candidatesTokensDetails": _details(
            TEXT=c.completion - c.completion_image - c.completion_audio, IMAGE=c.completion_image, AUDIO=c.completion_audio
        ),
    }  # fmt: skip
    data = {IMAGE: ("image/png", base64.b64encode(PNG).decode()), SPEECH: ("audio/L16;rate=24000", SOUND)}
    part: dict[str, Any] = {"text": "hello"}
    if model in data:
        part = {"inlineData": dict(zip(("mimeType", "data"), data[model], strict=True))}
    chunks: list[Any] = [{"maps": {"uri": "https://maps.google.com/?cid=1"}}] * c.maps
    chunks += [{"web": {"uri": "https://a.example"}}] * bool(c.searches)
    grounding = {"groundingChunks": chunks, "webSearchQueries": [f"q{i}" for i in range(c.searches)]}
    candidate: dict[str, Any] = {
        "content": {"parts": [part]},
        "finishReason": "STOP",
        "groundingMetadata": grounding,
    }
    whole = {"candidates": [candidate], "usageMetadata": usage}
    if not streams:
        return web.json_response(whole)
    first = {
        "candidates": [{"content": {"parts": [part]}}],
        "usageMetadata": {**usage, "candidatesTokenCount": 1},
    }
    data_lines = b"".join(b"data: " + json.dumps(event).encode() + b"\r\n\r\n" for event in (first, whole))
    return web.Response(body=data_lines, content_type="text/event-stream")


def _interaction(c: TokenCounts, *, streams: bool) -> web.Response:
    def by(**counts: int) -> list[dict[str, Any]]:
        return [{"modality": name, "tokens": count} for name, count in counts.items()]

    usage = {
        "total_input_tokens": c.prompt, "total_cached_tokens": c.cached, "total_output_tokens": c.completion,
        "total_thought_tokens": c.thoughts, "total_tool_use_tokens": c.tool_use, "total_tokens": c.total,
        "input_tokens_by_modality": by(text=c.prompt_text, image=c.prompt_image, audio=c.prompt_audio),
        "cached_tokens_by_modality": by(text=c.cached - c.cached_audio, audio=c.cached_audio),
        "output_tokens_by_modality": by(text=c.completion),
        "grounding_tool_count": [{"type": "google_search", "count": c.searches}, {"type": "google_maps", "count": c.maps}],
    }  # fmt: skip
    done = {"id": "v1_x", "status": "completed", "usage": usage,
            "steps": [{"type": "model_output", "content": [{"type": "text", "text": "hi"}]}]}  # fmt: skip
    if not streams:
        return web.json_response(done)
    event = {"event_type": "interaction.completed", "interaction": done}
    data = f"event: interaction.completed\ndata: {json.dumps(event)}\n\ndata: [DONE]\n\n"
    return web.Response(text=data, content_type="text/event-stream")


@pytest.fixture
def google() -> Meter:
    return Meter()


@pytest.fixture
async def team(serve: Serve, tmp_path: Path, google: Meter, aiohttp_server: Any) -> Team:
    return Team(serve, tmp_path, await upstream_of(aiohttp_server, google.answer))


async def ask(http: aiohttp.ClientSession, base: str, surface: str) -> int:
    """Ask one surface, and return the status of an answer that was read to its end."""
    if surface in JSON:
        path, body = JSON[surface]
        sending = http.post(base + path, json=body)
    else:
        path, fields = FORMS[surface]
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        sending = http.post(base + path, data=form(fields), headers=headers)
    async with sending as response:
        text = await response.text(errors="replace")
        assert response.status == 200 or "error" in text
        return response.status


async def test_a07_rows_are_what_is_metered_on_every_surface(team: Team, google: Meter, serve: Serve) -> None:
    key = team.issue(dollars={"total": 1000.0}, tokens={"total": 10**9})
    await team.start("a", PLUGINS)
    prices = serve.app[SERVICES].exchange.accounting.prices
    wrong = {}
    async with aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http:
        for surface in SURFACES:
            google.bills.clear()
            before = len(await team.settled())
            status = await ask(http, team.base, surface)
            rows = (await team.settled())[before:]
            billed = Counter(
                (c.input, c.cached, c.output, prices.micros(m, c, time())) for m, c in google.bills
            )
            kept = Counter(
                (r.prompt + r.tool_use, r.cached, r.completion + r.thoughts, r.micros) for r in rows
            )
            if status != 200 or not google.bills or kept != billed:
                wrong[surface] = (status, billed - kept, kept - billed)

    assert wrong == {}


@pytest.mark.slow
async def test_a07_calls_that_fail_are_rows_that_cost_nothing(team: Team, google: Meter) -> None:
    key = team.issue(dollars={"total": 1000.0})
    await team.start("a", PLUGINS)
    async with aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http:
        for surface in SINGLE:
            google.failing = 10**6
            assert await ask(http, team.base, surface) in (429, 500, 502, 503, 529), surface

    rows = await team.settled()
    assert {row.surface for row in rows} == {
        "chat", "completions", "responses", "messages", "native", "interactions", "images", "speech", "transcription",
    }  # fmt: skip
    assert [row.micros for row in rows] == [0] * len(rows)
    assert google.bills == []


async def test_a07_a_budget_of_one_more_call_lets_one_of_several_through(
    team: Team, google: Meter, serve: Serve
) -> None:
    rich = team.issue(dollars={"total": 1000.0})
    await team.start("a", PLUGINS)
    services = serve.app[SERVICES]
    answers, expected = {}, [200, *[429] * 3]
    for surface in SINGLE:
        async with aiohttp.ClientSession(headers={"x-goog-api-key": rich}) as http:
            assert await ask(http, team.base, surface) == 200
        ((*_, reserved),) = json.loads((await team.settled())[-1].reserved)
        poor = team.issue(dollars={"total": reserved / 1e6})
        await services.refresh_keys()
        google.bills.clear()
        async with aiohttp.ClientSession(headers={"x-goog-api-key": poor}) as http:
            statuses = sorted(await asyncio.gather(*(ask(http, team.base, surface) for _ in expected)))
            if statuses != expected or len(google.bills) != 1:
                answers[surface] = statuses, len(google.bills)

    assert answers == {}
