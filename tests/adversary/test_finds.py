"""What the search found, larger than it was: linear work takes a tenth of a second here, quadratic work many seconds."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.adversary.work import on_answer, on_body

SECONDS = 3
MODEL = {"model": "gemini-2.5-flash"}
TURN = [{"role": "user", "content": "x"}]
COUNT = 12_000
CALL = {"function": {"name": "f"}, "id": "a"}
BODIES: dict[str, tuple[str, Any]] = {
    "reasoning details of other calls": ("chat", {**MODEL, "messages": [{
        "role": "assistant", "tool_calls": [CALL] * COUNT,
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "id": "b"}] * COUNT}]}),
    "names that become one": ("chat", {**MODEL, "messages": TURN, "tools": [
        {"type": "function", "function": {"name": f"é{chr(0x100 + i)}"}} for i in range(COUNT)]}),
    "names that may be called": ("chat", {**MODEL, "messages": TURN, "tools": [
        {"type": "function", "function": {"name": f"f{i}"}} for i in range(500)],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {
            "mode": "auto", "tools": [{"type": "function", "function": {"name": "f499"}}] * COUNT}}}),
    "calls and results of one id": ("chat", {**MODEL, "messages": [
        {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "a", "content": "x"}] * 4_000}),
    "results without a call": ("chat", {**MODEL, "messages": [{"role": "tool", "tool_call_id": "a"}] * 9_000}),
    "unknown fields": ("chat", {**MODEL, "messages": TURN, **{f"u{i}": 1 for i in range(30_000)}}),
    "unknown options": ("chat", {**MODEL, "messages": TURN, "google": {f"u{i}": 1 for i in range(30_000)}}),
}  # fmt: skip


def answer(parts: list[Any], **candidate: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP", **candidate}]}


ANSWERS: dict[str, Callable[[], dict[str, Any]]] = {
    "texts": lambda: answer([{"text": "ab"}] * 60_000),
    "thoughts": lambda: answer([{"text": "ab", "thought": True}] * 60_000),
    "code between texts": lambda: answer([{"text": "a"}, {"executableCode": {}}] * 20_000),
    "calls": lambda: answer([{"functionCall": {"name": "f"}}] * 40_000),
    "pictures": lambda: answer([{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}] * 40_000),
    "files": lambda: answer([{"fileData": {"fileUri": "x"}}] * 40_000),
    "code and citations": lambda: answer(
        [{"text": "a"}, {"executableCode": {}}] * 8_000,
        groundingMetadata={"groundingChunks": [{"web": {"uri": "u"}}], "groundingSupports": [
            {"segment": {"startIndex": i, "endIndex": i + 1}, "groundingChunkIndices": [0]} for i in range(8_000)]}),
    "citations of all the text": lambda: answer(
        [{"text": "é" * 200_000}],
        groundingMetadata={"groundingChunks": [{"web": {"uri": f"u{i}"}} for i in range(100)], "groundingSupports": [
            {"segment": {"endIndex": 400_000}, "groundingChunkIndices": [i % 100]} for i in range(4_000)]}),
}  # fmt: skip


@pytest.mark.row("A4", "C27")
@pytest.mark.parametrize("name", BODIES)
def test_a04_a_body_that_was_quadratic(name: str) -> None:
    surface, body = BODIES[name]
    data = json.dumps(body).encode()
    began = time.thread_time()
    on_body(surface, data)

    assert time.thread_time() - began < SECONDS


@pytest.mark.row("A4")
@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("surface", ["chat", "messages"])
def test_a04_an_answer_that_was_quadratic(name: str, surface: str) -> None:
    data = json.dumps(ANSWERS[name]()).encode()
    began = time.thread_time()
    on_answer(surface, data)

    assert time.thread_time() - began < SECONDS
