"""Model names and field names that are far longer, or far more, than anybody's."""

import gc
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.hostile import Bench, longest_absence

BODIES: dict[str, str] = {
    "/v1/chat/completions": '{"model":%s,"messages":[{"role":"user","content":"x"}]}',
    "/v1/responses": '{"model":%s,"input":"x"}',
    "/v1/responses/input_tokens": '{"model":%s,"input":"x"}',
    "/v1/messages": '{"model":%s,"max_tokens":5,"messages":[{"role":"user","content":"x"}]}',
    "/v1/messages/count_tokens": '{"model":%s,"messages":[{"role":"user","content":"x"}]}',
    "/v1/completions": '{"model":%s,"prompt":"x"}',
    "/v1/embeddings": '{"model":%s,"input":"x"}',
    "/v1/moderations": '{"model":%s,"input":"x"}',
}
"""A good body of each surface, without its model."""
NAMES = ["gemini-%d-", "no-model-%d-", "models/gemini-%d-", "/%d"]
"""Beginnings of names: with a known prefix, without one, with a namespace, and of what no name may contain."""


@pytest.fixture(params=BODIES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    bench = Bench(request.param)
    await bench.start()
    yield bench
    await bench.stop()


@pytest.mark.row("A5")
async def test_a05_a_long_name_is_refused_at_once(bench: Bench) -> None:
    for name in NAMES:
        text = json.dumps(name % 1 + "/a" * 1_500_000)
        status, absence = await longest_absence(bench, (BODIES[bench.path] % text).encode())
        assert status == 400, name
        assert absence < 0.3, name


@pytest.mark.row("A5")
async def test_a05_long_names_are_not_kept(bench: Bench) -> None:
    """Each name would stay in a cache of model names, of URLs, or of a model's state."""

    async def send(i: int) -> None:
        name = NAMES[i % len(NAMES)] % i + "a" * 1_000_000
        status, answer = await bench.send((BODIES[bench.path] % json.dumps(name)).encode())
        assert status == 400, answer
        error = json.loads(answer)["error"]
        assert "model" in (error.get("param") or error["message"])
        assert len(answer) < 1000

    for i in range(4):
        await send(i)
    gc.collect()
    before = _resident()
    for i in range(4, 24):
        await send(i)
    assert _resident() - before < 8_000_000


async def test_a_name_of_the_longest_length_is_a_name(bench: Bench) -> None:
    for name in ("gemini-" + "a" * 249, "x" * 256):
        status, answer = await bench.send((BODIES[bench.path] % json.dumps(name)).encode())
        assert status == 200, answer


@pytest.mark.row("A14")
async def test_a14_very_many_unknown_fields_do_not_hold_the_loop(bench: Bench) -> None:
    fields = {f"k{i:06}" + "x" * 30: 1 for i in range(20_000)}
    body = (BODIES[bench.path] % '"gemini-2.5-flash"')[:-1] + "," + json.dumps(fields)[1:]
    async with bench.http.post(bench.url, data=body.encode()) as response:
        assert response.status == 200
        notes = response.headers.get("x-gateway-notes", "")
    _, absence = await longest_absence(bench, body.encode())

    assert notes == "" or notes.endswith((",+19980", ",+19981"))
    assert absence < 0.08


def _resident() -> int:
    """Bytes of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
