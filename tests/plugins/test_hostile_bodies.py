"""Bodies nobody would send by mistake: every one is answered with a 400 that says where, or is simply fine."""

import asyncio
import gc
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.plugins.chat.wire import ChatRequest
from tests.support.bodies import CHAT
from tests.support.hostile import Bench, hostile, longest_absence, paths

BATCH = 100
BATCHES = 20
SHARDS = 10
"""10 times 20 times 100 bodies, which differ from run to run: 4,000 in CI, 20,000 in `make test-faults`."""
IN_CI = 2

PATHS = sorted(paths(CHAT), key=str)
LIGHT = [
    "functions",
    "function_call",
    "tool_choice",
    "cached_content",
    "audio",
    "logprobs",
    "top_logprobs",
    "n",
]
"""Fields whose absence lets more bodies through to the later steps."""


@pytest.mark.row("C25")
@pytest.mark.parametrize(
    "shard", [*range(IN_CI), *(pytest.param(i, marks=pytest.mark.slow) for i in range(IN_CI, SHARDS))]
)
def test_twenty_thousand_hostile_bodies_are_never_our_fault(shard: int) -> None:
    loop = asyncio.new_event_loop()
    bench = Bench()
    loop.run_until_complete(bench.start())
    statuses: dict[int, int] = {}

    @settings(max_examples=BATCHES, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.integers(0, 2**64))
    def run(seed: int) -> None:
        rolls = random.Random(seed * SHARDS + shard)
        bodies = [hostile(CHAT, PATHS, LIGHT, rolls) for _ in range(BATCH)]
        for body, (status, answer) in zip(bodies, loop.run_until_complete(bench.all(bodies)), strict=True):
            statuses[status] = statuses.get(status, 0) + 1
            assert status in (200, 400), (status, answer[:300], body[:2000])
            if status == 400:
                assert set(json.loads(answer)["error"]) == {"message", "type", "param", "code"}

    try:
        run()
    finally:
        loop.run_until_complete(bench.stop())
        loop.close()
    assert sum(statuses.values()) >= BATCH * BATCHES
    assert statuses[200] > 100  # or nothing beyond the decoder was ever reached


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.start()
    yield bench
    await bench.stop()


WRONG: list[Any] = [True, 5, 2.5, "text", [], ["x"], {}, {"x": 1}]


@pytest.mark.row("C25")
@pytest.mark.parametrize("field", ChatRequest.__struct_fields__)
async def test_a_wrong_type_names_its_field(bench: Bench, field: str) -> None:
    refused = 0
    for value in WRONG:
        body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}], field: value}
        status, answer = await bench.send(json.dumps(body).encode())
        assert status in (200, 400)
        if status == 400:
            refused += 1
            param = json.loads(answer)["error"]["param"]
            assert param.partition(".")[0].partition("[")[0] in {field, "google"}, (field, value, answer)

    assert refused >= 3


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"null", b'{"messages":NaN}', b"\xff\xfe", b'{"a":"\xed\xa0\x80"}', b"[" * 500_000,
     b'{"messages":' + b"[" * 101 + b"]" * 101 + b"}", b'{"a":' * 5000 + b"1" + b"}" * 5000],
)  # fmt: skip
async def test_a_body_that_is_no_json_object_is_a_400(bench: Bench, body: bytes) -> None:
    assert (await bench.send(body))[0] == 400


MESSAGE = {"role": "user", "content": "x"}
TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {}}}},
}
HEAVY: dict[str, tuple[int, Any]] = {
    "100,000 messages": (400, {"messages": [MESSAGE] * 100_000}),
    "10,000 messages": (200, {"messages": [MESSAGE] * 10_000}),
    "1,000 tools": (400, {"messages": [MESSAGE], "tools": [
        {"type": "function", "function": {**TOOL["function"], "name": f"f{i}"}} for i in range(1000)]}),  # type: ignore[dict-item]
    "500 tools": (200, {"messages": [MESSAGE], "tools": [
        {"type": "function", "function": {**TOOL["function"], "name": f"f{i}"}} for i in range(500)]}),  # type: ignore[dict-item]
    "a picture of 20 MB": (200, {"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBO" * 5_000_000}}]}]}),
    "prose of 5 MB": (200, {"messages": [{"role": "user", "content": "well, then: [1] {2}, " * 250_000}]}),
    "100,000 numbers in a schema": (200, {"messages": [MESSAGE], "response_format": {
        "type": "json_schema", "json_schema": {"schema": {"type": "object", "enum": list(range(100_000))}}}}),
}  # fmt: skip


@pytest.mark.parametrize("name", HEAVY)
@pytest.mark.row("C27", "C28")
async def test_a_heavy_body_is_answered(bench: Bench, name: str) -> None:
    expected, body = HEAVY[name]

    assert (await longest_absence(bench, json.dumps({"model": "gemini-2.5-flash", **body}).encode()))[
        0
    ] == expected


@pytest.mark.timed
@pytest.mark.parametrize("name", HEAVY)
async def test_a_heavy_body_does_not_hold_the_loop(bench: Bench, name: str) -> None:
    """Time for which the loop was held: `make test-timed`, because a clock depends on the machine.

    The best of three: what holds the loop does so each time, another process on this core does not. The collector
    is frozen as `gateway serve` does it, or it would walk through all that other tests have left.
    """
    expected, body = HEAVY[name]
    data = json.dumps({"model": "gemini-2.5-flash", **body}).encode()
    gc.collect()
    gc.freeze()
    measured = [await longest_absence(bench, data) for _ in range(3)]
    gc.unfreeze()

    assert {status for status, _ in measured} == {expected}
    assert min(away for _, away in measured) < 0.050
