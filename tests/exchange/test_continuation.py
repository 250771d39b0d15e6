"""Answers of Gemini 4 that are longer than one call makes: the gateway asks for their continuation."""

import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.emulator.script import load_script
from gateway.emulator.server import CALLS, build_fake
from tests.support.servers import Fake, Serve

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
LONG = 100_000


def request(path: str, prompt: str, *, stream: bool, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "gemini-4-argon", "stream": stream, **fields}
    if path == RESPONSES:
        return {**body, "input": prompt, "max_output_tokens": LONG}
    limit = "max_tokens" if path == MESSAGES else "max_completion_tokens"
    return {**body, "messages": [{"role": "user", "content": prompt}], limit: LONG}


async def ask(http: aiohttp.ClientSession, base: str, path: str, body: dict[str, Any]) -> tuple[int, str]:
    async with http.post(base + path, json=body) as response:
        return response.status, await response.text()


ENDS = {
    CHAT: '"finish_reason":"stop"',
    RESPONSES: '"status":"completed"',
    MESSAGES: '"stop_reason":"end_turn"',
}
COUNTS = {
    CHAT: '"prompt_tokens":3,"completion_tokens":6', RESPONSES: '"input_tokens":3', MESSAGES: '"output_tokens":6',
}  # fmt: skip
TEXTS = {
    CHAT: re.compile(r'"content":"([^"]*)"'), RESPONSES: re.compile(r'"(?:delta|text)":"([^"]*)"'),
    MESSAGES: re.compile(r'"text":"([^"]*)"'),
}  # fmt: skip


@pytest.mark.row("M4")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
async def test_m4_an_answer_is_continued_to_its_end(
    http: aiohttp.ClientSession, gateway: str, fake: Fake, path: str, stream: bool
) -> None:
    more = {"stream_options": {"include_usage": True}} if path == CHAT and stream else {}
    status, text = await ask(http, gateway, path, request(path, "[[hops 3]]", stream=stream, **more))

    assert (status, fake.calls) == (200, 3), text
    assert "".join(TEXTS[path].findall(text)).startswith("Part 1. Part 2. Part 3. ")
    assert ENDS[path] in text
    assert COUNTS[path] in text
    assert '"length"' not in text


def part(text: str, finish: str | None = None, token: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    if token:
        candidate["continuationToken"] = token
    return {
        "candidates": [candidate],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7},
    }


OVERLOADED = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
ONE, TWO = "aG9wIDI=", "aG9wIDM="


@pytest.mark.row("M4")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("answers", "text", "reason", "calls"),
    [
        ([[part("a", "CONTINUATION", ONE)], [part("b", "MAX_TOKENS", TWO)]], "ab", "length", 2),
        ([[part("a", "CONTINUATION")]], "a", "length", 1),
        ([[part("a", "CONTINUATION", ONE)], [part("b", "CONTINUATION", ONE)]], "ab", "length", 2),
        ([[part("a", "STOP", ONE)]], "a", "stop", 1),
        ([[part("x en", "CONTINUATION", ONE)], [part("d y", "STOP")]], "x ", "stop", 2),
        ([[part("x end", "CONTINUATION", ONE)]], "x ", "stop", 1),
    ],
)  # fmt: skip
async def test_m4_when_an_answer_is_continued(
    http: aiohttp.ClientSession, serve: Serve, aiohttp_server: Any, tmp_path: Path,
    answers: list[Any], text: str, reason: str, calls: int, stream: bool,
) -> None:  # fmt: skip
    file = tmp_path / "recorded.json"
    file.write_text(json.dumps(answers))
    app = build_fake(load_script(file), pace=0)
    base = await serve("", str((await aiohttp_server(app)).make_url("")).rstrip("/"))
    stops = [*"12345", "end"]
    status, answer = await ask(http, base, CHAT, request(CHAT, "hi", stream=stream, stop=stops))

    assert status == 200, answer
    assert len(app[CALLS]) == calls
    bodies = (
        [json.loads(line[6:]) for line in answer.splitlines() if line.startswith("data: {")]
        if stream
        else [json.loads(answer)]
    )
    choices = [choice for body in bodies for choice in body["choices"]]
    assert "".join((c.get("delta") or c.get("message") or {}).get("content") or "" for c in choices) == text
    assert choices[-1]["finish_reason"] == reason
    assert [call.body.get("continuationToken") for call in app[CALLS]] == [None, *[ONE] * (calls - 1)]


@pytest.mark.row("M4")
async def test_m4_a_whole_answer_begins_anew_when_its_continuation_fails(
    http: aiohttp.ClientSession, serve: Serve, aiohttp_server: Any, tmp_path: Path
) -> None:
    file = tmp_path / "recorded.json"
    file.write_text(json.dumps([[part("a", "CONTINUATION", ONE)], OVERLOADED, [part("c", "STOP")]]))
    app = build_fake(load_script(file), pace=0)
    base = await serve("", str((await aiohttp_server(app)).make_url("")).rstrip("/"))
    status, answer = await ask(http, base, CHAT, request(CHAT, "hi", stream=False))

    assert (status, json.loads(answer)["choices"][0]["message"]["content"]) == (200, "c")
    assert [call.body.get("continuationToken") for call in app[CALLS]] == [None, ONE, None]
