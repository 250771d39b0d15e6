"""Events of live interactions: the model of the first one, and where a turn ends."""

import json
from typing import Any

import pytest

from gateway.plugins.native.live.events import model_of_event, read_events
from gateway.plugins.native.live.messages import NOTHING

USAGE = {"total_input_tokens": 100, "total_output_tokens": 20, "total_tokens": 120,
         "grounding_tool_count": [{"type": "google_search", "count": 2}]}  # fmt: skip
COMPLETED = {"event_type": "interaction.completed", "interaction": {"id": "x", "usage": USAGE}}


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("value", [COMPLETED, {"events": [{"event_type": "step.stop"}, COMPLETED]}])
def test_a_turn_ends_with_its_counts(value: Any) -> None:
    seen = read_events(encoded(value))
    assert (seen.is_content, seen.is_over, seen.searches) == (True, True, 2)
    assert seen.usage is not None
    assert (seen.usage.prompt_token_count, seen.usage.candidates_token_count) == (100, 20)


def test_steps_belong_to_a_turn_and_other_events_to_none() -> None:
    seen = read_events(encoded({"event_type": "step.delta", "delta": {"text": "x"}}))
    assert (seen.is_content, seen.is_over, seen.usage) == (True, False, None)
    for data in (
        encoded({"event_type": "interaction.connected"}),
        encoded({"events": []}),
        b"",
        b"[]",
        b"\xff",
    ):
        assert read_events(data) is NOTHING


@pytest.mark.parametrize(
    ("value", "model"),
    [
        ({"event_type": "interaction.create", "interaction": {"model": "models/gemini-3.8-live"}}, "gemini-3.8-live"),
        ({"events": [{"event_type": "interaction.create", "model": "m"}]}, "m"),
        ({"event_type": "interaction.connect", "id": "x"}, ""), ([], ""),
        ({"model": "AIzaSyA0000000000000000000000000000000"}, ""), ({"model": "x" * 10_000}, ""),
    ],
)  # fmt: skip
def test_the_first_event_names_the_model(value: Any, model: str) -> None:
    assert model_of_event(encoded(value)) == model
