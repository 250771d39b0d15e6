"""Answers and events."""

import json

import pytest

from gateway.errors import BadRequest, RateLimited
from gateway.gemini.events import Event, Finished, MediaPart, TextDelta, TurnEnded, TurnStarted
from gateway.gemini.usage import TokenCounts
from gateway.plugins.images.pictures import Picture
from gateway.plugins.images.response import (
    Drawing,
    completed,
    drawing,
    error_event,
    image_list,
    look_at,
    usage,
)

COUNTS = TokenCounts(prompt=300, prompt_image=258, completion=1120, completion_image=1120, thoughts=80)


def drawn(**fields: object) -> Drawing:
    values = {"data": "AA==", "mime_type": "image/png", "words": "", "counts": COUNTS, "model": "", "others": 0,
              "facts": Picture("jpeg", 1376, 768), **fields}  # fmt: skip
    return Drawing(**values)  # type: ignore[arg-type]


def test_the_prompt_counts_once_and_pictures_are_a_part_of_the_output() -> None:
    result = usage([COUNTS, COUNTS])

    assert (
        result.input_tokens,
        result.input_tokens_details.image_tokens,
        result.input_tokens_details.text_tokens,
    ) == (300, 258, 42)
    assert (result.output_tokens, result.output_tokens_details.image_tokens) == (2400, 2240)
    assert (result.output_tokens_details.text_tokens, result.total_tokens) == (160, 2700)


def test_an_answer_has_the_model_the_words_and_the_counts() -> None:
    events: list[Event] = [
        TurnStarted("r", "gemini-x"), TextDelta(0, "A "), MediaPart(0, "image/png", "AA=="), TextDelta(0, "cat."),
        MediaPart(0, "audio/wav", "BB=="), Finished(0, "stop"), TurnEnded(COUNTS),
    ]  # fmt: skip
    result = drawing(events)

    assert (result.data, result.words, result.model, result.others, result.counts) == (
        "AA==", "A cat.", "gemini-x", 0, COUNTS,
    )  # fmt: skip


def test_a_list_has_one_way_for_each_picture() -> None:
    body = json.loads(image_list([drawn(words="a fox"), drawn(data="BB==")], 5))

    assert body["data"] == [{"b64_json": "AA==", "revised_prompt": "a fox"}, {"b64_json": "BB=="}]
    assert (body["created"], body["size"], body["quality"], body["output_format"]) == (
        5,
        "1376x768",
        "low",
        "jpeg",
    )
    assert json.loads(image_list([drawn()], 5, ["https://x"]))["data"] == [{"url": "https://x"}]


def test_events() -> None:
    name, data, *_ = completed(drawn(), 7, "image_edit").split(b"\n")
    assert (name, json.loads(data.removeprefix(b"data: "))["created_at"]) == (
        b"event: image_edit.completed",
        7,
    )

    error = error_event(RateLimited("wait", retry_after=1))
    assert error.startswith(b"event: error\ndata: ")
    assert error.endswith(b"\n\n")
    assert json.loads(error.split(b"data: ")[1]) == {
        "type": "error",
        "error": {
            "message": "wait",
            "type": "rate_limit_error",
            "param": None,
            "code": "rate_limit_exceeded",
        },
    }


def test_words_of_a_refusal_are_bounded() -> None:
    with pytest.raises(BadRequest) as caught:
        drawing([TextDelta(0, "no " * 5000), Finished(0, "stop")])

    assert len(caught.value.message) == 2000


def test_a_picture_of_an_unknown_format_has_the_one_that_google_says() -> None:
    result = drawn(mime_type="image/webp")
    look_at(result)

    assert result.facts == Picture("webp")
