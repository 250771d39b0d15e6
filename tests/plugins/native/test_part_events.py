"""Parts of Gemini's own JSON as events for hooks, and back."""

from typing import Any

import pytest

from gateway.gemini.events import (
    OTHER_PART,
    CodePart,
    Event,
    FilePart,
    Finished,
    MediaPart,
    ServerTool,
    TextDelta,
    ThoughtDelta,
    ToolCall,
)
from gateway.plugins.native.part_events import event_of, part_of

PAIRS: list[tuple[dict[str, Any], Event]] = [
    ({"text": "a"}, TextDelta(1, "a")),
    ({"text": "a", "thought": True}, ThoughtDelta(1, "a")),
    (
        {"functionCall": {"name": "f", "args": {"x": [1.5]}, "id": "c"}, "thoughtSignature": "s"},
        ToolCall(1, "c", "f", '{"x":[1.5]}', "s"),
    ),
    ({"functionCall": {"name": "f", "args": {}}}, ToolCall(1, "", "f", "{}")),
    ({"inlineData": {"mimeType": "image/png", "data": "QQ=="}}, MediaPart(1, "image/png", "QQ==")),
    ({"fileData": {"fileUri": "u", "mimeType": "a/b"}}, FilePart(1, "u", "a/b")),
    ({"executableCode": {"code": "1+1", "language": "PYTHON"}}, CodePart(1, source="1+1")),
    ({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}, CodePart(1, output="2")),
    (
        {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no"}},
        CodePart(1, output="no", failed=True),
    ),
]


@pytest.mark.parametrize(("part", "event"), PAIRS)
def test_a_part_is_an_event_and_the_event_is_the_part(part: dict[str, Any], event: Event) -> None:
    assert event_of(1, part) == event
    assert part_of(event) == part


@pytest.mark.parametrize(
    "part",
    [
        {"text": 5},
        {"functionCall": {}},
        {"toolCall": {"toolType": "X"}},
        {"new": {}, "thoughtSignature": "s"},
    ],
)
def test_o20_any_other_part_is_an_event_as_a_whole(part: dict[str, Any]) -> None:
    event = event_of(0, part)

    assert isinstance(event, ServerTool)
    assert event.kind == OTHER_PART
    assert part_of(event) == part


@pytest.mark.parametrize("part", [{}, {"thoughtSignature": "s"}])
def test_a_part_without_content_is_no_event(part: dict[str, Any]) -> None:
    assert event_of(0, part) is None


def test_an_end_is_no_part() -> None:
    assert part_of(Finished(0, "stop")) is None
