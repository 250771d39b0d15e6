"""Chunks of the rarer kinds: legacy calls, custom tools, images, sound, files, sources, several calls for `n`."""

from typing import Any

from msgspec import Raw

from gateway.gemini.call_names import CallRules
from gateway.gemini.events import (
    Citations,
    CodePart,
    Event,
    FilePart,
    Finished,
    MediaPart,
    TextDelta,
    ToolCall,
    TurnEnded,
)
from gateway.gemini.grounding import Citation
from gateway.gemini.usage import TokenCounts
from gateway.plugins.chat.response import AnswerOptions, ChatStream, Envelope
from tests.support.frames import frames

END = TurnEnded(TokenCounts(prompt=1, completion=2))


def chunks(*events: Event, style: AnswerOptions | None = None) -> list[Any]:
    stream = ChatStream(Envelope("chatcmpl-x", 1, "m"), include_usage=True, style=style or AnswerOptions())
    return frames(b"".join(stream.encode([event]) for event in events))


def deltas(received: list[Any]) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in received if chunk["choices"]]


def test_legacy_calls_are_one_function_call() -> None:
    calls = [ToolCall(0, f"c{i}", "f", "{}") for i in range(2)]
    received = chunks(*calls, Finished(0, "tool_calls"), END, style=AnswerOptions(CallRules(legacy=True)))

    assert [d["function_call"] for d in deltas(received) if "function_call" in d] == [
        {"name": "f", "arguments": "{}"}
    ]
    assert received[-2]["choices"][0]["finish_reason"] == "function_call"


def test_a_custom_tool_gets_its_text() -> None:
    rules = CallRules(custom=frozenset({"sh"}))
    received = chunks(
        ToolCall(0, "c", "sh", '{"input":"ls"}'),
        ToolCall(0, "d", "sh", '{"other":1}'),
        style=AnswerOptions(rules),
    )

    calls = [d["tool_calls"][0] for d in deltas(received) if "tool_calls" in d]
    assert calls[0] == {"id": "c", "custom": {"name": "sh", "input": "ls"}, "type": "custom", "index": 0}
    assert calls[1]["custom"]["input"] == '{"other":1}'


def test_images_are_numbered_and_sound_comes_in_pieces() -> None:
    received = deltas(chunks(
        MediaPart(0, "image/png", "AA=="), MediaPart(0, "image/png", "BB=="), MediaPart(0, "audio/L16;rate=24000", "CC==")
    ))  # fmt: skip

    assert [image["index"] for delta in received for image in delta.get("images", ())] == [0, 1]
    assert received[-1]["audio"]["data"] == "CC=="


def test_files_and_sources_come_before_the_end() -> None:
    cited = Citations(
        0, [Citation(1, 2, "https://a.example", "A")], Raw(b'{"webSearchQueries":["q"]}'), Raw(b'{"u":1}')
    )
    received = deltas(chunks(
        TextDelta(0, "a"), CodePart(0, source="1", at=1), TextDelta(0, "b"), FilePart(0, "https://f.example", None),
        cited, Finished(0, "stop", signature="S", message="told"), END, style=AnswerOptions(grounding=True),
    ))  # fmt: skip

    (annotations,) = [delta["annotations"] for delta in received if "annotations" in delta]
    (google,) = [delta["extra_content"]["google"] for delta in received if "extra_content" in delta]
    assert annotations[0]["url_citation"]["start_index"] == 1 + len("\n```python\n1\n```\n")
    assert google == {
        "thought_signature": "S",
        "grounding_metadata": {"webSearchQueries": ["q"]},
        "url_context_metadata": {"u": 1},
        "finish_message": "told",
        "files": [{"uri": "https://f.example", "mime_type": None}],
    }
    assert received[-1] == {}


def test_several_calls_end_once() -> None:
    first, second = (TextDelta(i, "x") for i in range(2))
    received = chunks(
        first, Finished(0, "stop"), END, second, Finished(1, "stop"), END, style=AnswerOptions(calls=2)
    )

    assert received[-1]["usage"]["completion_tokens"] == 4
    assert received[-1]["choices"] == []
