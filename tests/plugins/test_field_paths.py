"""Every error and every note names a field of the body that was sent, as this client spells it, on every surface."""

import copy
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway.server.plugin_loader import BUILT_IN, find_plugin
from tests.support.bodies import BODIES, LEAST, OTHERS
from tests.support.hostile import Bench, paths

WRONG: list[Any] = [
    True,
    5,
    -1,
    2.5,
    "text",
    [],
    ["x"],
    {},
    {"x": 1},
    "https://[::1]/",
    "data:image/png;base64,A",
]
STEP = re.compile(r"\[(\d+|\.\.\.)\]|\.(\d+)(?=\.|\[|$)|\.?([^.\[\]]+)")

LIGHT = ("tool_choice", "google", "extra_body", "cached_content", "thinking_config", "response_format")
"""Fields whose errors hide those of others: each body is tried with and without them."""

CLAMPED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "temperature": ("gemini-2.5-flash-image", 2),
        "seed": ("gemini-2.5-flash", 2**40),
        "max_tokens": ("gemini-2.5-flash", 2**31 - 1),
        "max_completion_tokens": ("gemini-2.5-flash", 2**31 - 1),
        "reasoning_effort": ("gemini-3-flash-preview", "none"),
        "presence_penalty": ("gemini-3-flash-preview", 1),
        "frequency_penalty": ("gemini-3-flash-preview", 1),
        "logprobs": ("gemini-3.8-flash", True),
        "web_search_options": ("gemma-3-27b-it", {}),
    },
    "/v1/responses": {
        "temperature": ("gemini-2.5-flash-image", 2),
        "max_output_tokens": ("gemini-2.5-flash", 2**31 - 1),
        "reasoning": ("gemini-3-flash-preview", {"effort": "none"}),
        "top_logprobs": ("gemini-3.8-flash", 2),
    },
    "/v1/messages": {
        "temperature": ("gemini-2.5-flash-image", 2),
        "max_tokens": ("gemini-2.5-flash", 2**31 - 1),
        "thinking": ("gemini-2.5-flash", {"type": "enabled", "budget_tokens": 1_000_000}),
        "output_config": ("gemini-2.0-flash", {"effort": "low"}),
    },
    "/v1/completions": {
        "temperature": ("gemini-2.5-flash-image", 2),
        "max_tokens": ("gemini-2.5-flash", 2**31 - 1),
        "seed": ("gemini-2.5-flash", 2**40),
        "presence_penalty": ("gemini-3-flash-preview", 1),
        "frequency_penalty": ("gemini-3-flash-preview", 1),
    },
}  # fmt: skip
"""A value of a field that a model does not take as it is."""


def is_path(path: str, body: Any) -> bool:
    """Return whether a path leads through a body; its last step may be the thing that is missing."""
    steps = [(index or number, name) for index, number, name in STEP.findall(path)]
    assert steps, path
    for position, (index, name) in enumerate(steps):
        last = position == len(steps) - 1
        if index == "...":
            return isinstance(body, dict | list)
        if index and isinstance(body, list) and int(index) < len(body):
            body = body[int(index)]
        elif isinstance(body, dict) and (index or name) in body:
            body = body[index or name]
        else:
            return last
    return True


def spoilt(body: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    result = copy.deepcopy(body)
    spot: Any = result
    for step in path[:-1]:
        spot = spot[step]
    spot[path[-1]] = copy.deepcopy(value)
    return result


def variants(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the body, and the body without what hides other errors."""
    yield body
    yield {name: value for name, value in body.items() if name not in LIGHT}


def named_field(surface: str, answer: dict[str, Any]) -> str | None:
    """Return the field that an error names: OpenAI has `param` for it, Anthropic begins the message with it."""
    if surface != "/v1/messages":
        return answer["error"]["param"]  # type: ignore[no-any-return]
    path, colon, _ = str(answer["error"]["message"]).partition(": ")
    return path if colon and " " not in path else None


@pytest.fixture(params=BODIES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    bench = Bench(request.param)
    await bench.start()
    yield bench
    await bench.stop()


async def ask(bench: Bench, body: dict[str, Any]) -> tuple[int, dict[str, Any], list[str]]:
    """Return status, answer, and the notes."""
    async with bench.http.post(bench.url, data=json.dumps(body).encode()) as response:
        notes = response.headers.get("x-gateway-notes", "")
        text = await response.text()
        answer = json.loads(text) if response.content_type == "application/json" else {}
        return response.status, answer, notes.split(",") if notes else []


def test_each_built_in_surface_has_a_body_with_its_fields() -> None:
    """`tests/support/bodies.py` is where a new surface joins the generated tests."""
    tables = {end: table for name in BUILT_IN for end, table in find_plugin(name).fields.items()}
    mapped = [
        (end, name) for end, table in tables.items() for name in table if table[name].treatment == "mapped"
    ]
    others = {f"POST {path}" for path in OTHERS}
    assert {f"POST {path}" for path in BODIES} == {f"POST {path}" for path in LEAST} == set(tables) - others
    assert [
        (end, name)
        for end, name in mapped
        if end not in others and name not in BODIES[end.removeprefix("POST ")]
    ] == []


async def walk(bench: Bench, share: int) -> int:
    """Put wrong values into each place of the bodies of a surface. Return how many bodies were refused.

    Of the values that a place can have, one in `share` is tried: another one at each place, and in each body.
    """
    wrong: list[object] = []
    refused = turn = 0
    for body in variants(BODIES[bench.path]):
        for path in sorted(paths(body), key=str):
            turn += 1
            for value in WRONG[turn % share :: share]:
                sent = spoilt(body, path, value)
                status, answer, notes = await ask(bench, sent)
                assert status in (200, 400), (path, value, answer)
                wrong += [(path, value, note) for note in notes if not is_path(note.partition("=")[0], sent)]
                if status == 400:
                    refused += 1
                    field = named_field(bench.path, answer)
                    if field is None or not is_path(field, sent):
                        wrong.append((path, value, field, answer["error"]["message"]))
    assert wrong == []
    return refused


@pytest.mark.row("C25")
async def test_an_error_about_a_value_has_a_path_of_the_body(bench: Bench) -> None:
    assert await walk(bench, 5) > 10


@pytest.mark.slow
@pytest.mark.row("C25")
async def test_an_error_about_any_value_has_a_path_of_the_body(bench: Bench) -> None:
    assert await walk(bench, 1) > 20


async def test_a_field_that_is_left_out_is_noted_by_its_own_name(bench: Bench) -> None:
    tables = {e: t for name in BUILT_IN for e, t in find_plugin(name).fields.items()}
    table = tables[f"POST {bench.path}"]
    missing: list[object] = []
    for name, policy in table.items():
        if policy.treatment in ("ignored", "dropped"):
            status, answer, notes = await ask(bench, {**LEAST[bench.path], name: {"a": ["provoked"]}})
            if status == 200 and notes != [name]:
                missing.append((name, notes))
            if status == 400 and named_field(bench.path, answer) != name:
                missing.append((name, answer))

    assert missing == []


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, names in CLAMPED.items() for name in names]
)
async def test_a_field_that_a_model_does_not_take_as_it_is_is_noted_by_its_own_name(
    path: str, name: str
) -> None:
    model, value = CLAMPED[path][name]
    bench = Bench(path)
    await bench.start()
    try:
        status, answer, notes = await ask(bench, {**LEAST[path], "model": model, name: value})
    finally:
        await bench.stop()

    assert status == 200, answer
    assert [note.partition(".")[0] for note in notes] == [name]
