"""Heavy bodies on every surface: the event loop is never held for long."""

import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.hostile import Bench, longest_absence

F3 = "gemini-3-flash-preview"
PICTURE = "iVBO" * 5_000_000
CALL = {"type": "function_call", "name": "f", "arguments": "{}"}
BODIES: dict[str, tuple[str, int, Any]] = {
    "responses, 8,000 messages": ("/v1/responses", 200, {"input": [{"role": "user", "content": "x"}] * 8_000}),
    "responses, 100,000 messages": ("/v1/responses", 400, {"input": [{"role": "user", "content": "x"}] * 100_000}),
    "responses, a picture of 20 MB": ("/v1/responses", 200, {"store": False, "input": [
        {"role": "user", "content": [{"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"}]}]}),
    "responses, prose of 5 MB": ("/v1/responses", 200, {"store": False, "input": "well, then: [1] {2}, " * 250_000}),
    "messages, 8,000 messages": ("/v1/messages", 200, {"max_tokens": 9, "messages": [
        {"role": "user", "content": "x"}] * 8_000}),
    "messages, 100,000 messages": ("/v1/messages", 400, {"max_tokens": 9, "messages": [
        {"role": "user", "content": "x"}] * 100_000}),
    "messages, a picture of 20 MB": ("/v1/messages", 200, {"max_tokens": 9, "messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}]}]}),
    "messages, 500 tools": ("/v1/messages", 200, {"max_tokens": 9, "messages": [{"role": "user", "content": "x"}],
                            "tools": [{"name": f"f{i}", "input_schema": {"type": "object"}} for i in range(500)]}),
    "completions, prose of 5 MB": ("/v1/completions", 200, {"prompt": "well, then: [1] {2}, " * 250_000}),
    "embeddings, 2,048 texts": ("/v1/embeddings", 200, {"input": ["a text of some length " * 20] * 2048}),
}  # fmt: skip


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    bench = Bench(BODIES[request.node.callspec.params["name"]][0])
    await bench.start()
    yield bench
    await bench.stop()


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.row("C27", "C28")
async def test_a_heavy_body_is_answered(bench: Bench, name: str) -> None:
    _, expected, body = BODIES[name]

    assert (await longest_absence(bench, json.dumps({"model": F3, **body}).encode()))[0] == expected


@pytest.mark.timed
@pytest.mark.parametrize("name", BODIES)
async def test_a_heavy_body_does_not_hold_the_loop(bench: Bench, name: str) -> None:
    _, expected, body = BODIES[name]
    data = json.dumps({"model": F3, **body}).encode()
    gc.collect()
    gc.freeze()
    measured = [await longest_absence(bench, data) for _ in range(5)]
    gc.unfreeze()

    assert {status for status, _ in measured} == {expected}
    assert min(away for _, away in measured) < 0.050
