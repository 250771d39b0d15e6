"""Answers that Gemini should not give: no surface fails on them, and none mixes up its choices."""

import json
from typing import Any

import pytest
from aiohttp import web

from tests.support.hostile import Bench

MODEL = {"model": "gemini-2.5-flash"}
TURN = [{"role": "user", "content": "x"}]
SURFACES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {**MODEL, "messages": TURN},
    "/v1/responses": {**MODEL, "input": "x"},
    "/v1/messages": {**MODEL, "max_tokens": 9, "messages": TURN},
    "/v1/completions": {**MODEL, "prompt": "x"},
}


def upstream(candidates: list[dict[str, Any]]) -> Any:
    """An upstream that answers every call with these candidates, whole or in one event."""

    async def answer(request: web.Request) -> web.Response:
        data = json.dumps({"candidates": candidates}).encode()
        if "stream" in request.path:
            return web.Response(body=b"data: " + data + b"\r\n\r\n", content_type="text/event-stream")
        return web.Response(body=data, content_type="application/json")

    return answer


def candidate(text: str, index: int | None) -> dict[str, Any]:
    said: dict[str, Any] = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
    return said if index is None else {**said, "index": index}


@pytest.mark.row("A21")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", SURFACES)
@pytest.mark.parametrize(
    "indexes", [[1], [7], [-1], [2**40], [-(2**62)], [0, 1], [0, 0], [3, 2, 1], [0] + [5] * 100]
)
async def test_a21_a_candidate_with_another_index(path: str, indexes: list[int], *, stream: bool) -> None:
    bench = Bench(path, upstream([candidate(f"said{i}", index) for i, index in enumerate(indexes)]))
    await bench.start()
    try:
        status, answer = await bench.send(json.dumps({**SURFACES[path], "stream": stream}).encode())
    finally:
        await bench.stop()

    assert status == 200, answer
    assert b"said" in answer
    assert b"error" not in answer.replace(b'"error":null', b"")


@pytest.mark.row("A21")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_a21_the_choices_of_n_are_not_mixed(path: str, *, stream: bool) -> None:
    bench = Bench(path, upstream([candidate("kept", 0), candidate("left out", 1)]))
    await bench.start()
    try:
        status, answer = await bench.send(json.dumps({**SURFACES[path], "n": 3, "stream": stream}).encode())
    finally:
        await bench.stop()

    assert status == 200, answer
    assert answer.count(b"kept") == 3
    assert b"left out" not in answer
    if not stream:
        assert [choice["index"] for choice in json.loads(answer)["choices"]] == [0, 1, 2]
