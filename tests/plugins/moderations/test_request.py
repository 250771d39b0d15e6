"""Moderations, the request: a conversation for each result."""

import json
from typing import Any

import msgspec
import pytest

from gateway.errors import BadRequest
from gateway.gemini.wire import encode_request
from gateway.plugins.moderations.request import conversations
from gateway.plugins.moderations.wire import ModerationRequest
from tests.support.goldens import translated

PNG = "data:image/png;base64,iVBORw0KGgo="
IMAGE = {"type": "image_url", "image_url": {"url": PNG}}


def bodies(value: Any, model: str = "gemini-2.5-flash-lite") -> list[Any]:
    request = msgspec.convert({"input": value}, ModerationRequest)
    translations = [translated(conversation, model) for conversation in conversations(request)]
    assert [note for translation in translations for note in translation.notes] == []
    return [json.loads(encode_request(translation.request)) for translation in translations]


def test_only_the_ratings_of_a_text_are_wanted() -> None:
    (body,) = bodies("x")

    harms = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
    assert body == {
        "contents": [{"parts": [{"text": "x"}], "role": "user"}],
        "safetySettings": [{"category": f"HARM_CATEGORY_{harm}", "threshold": "BLOCK_NONE"} for harm in harms],
        "generationConfig": {"maxOutputTokens": 1, "thinkingConfig": {"includeThoughts": False, "thinkingBudget": 0}},
    }  # fmt: skip


def test_each_text_is_rated_by_itself_and_an_empty_one_is_a_blank() -> None:
    assert [body["contents"][0]["parts"] for body in bodies(["a", ""])] == [[{"text": "a"}], [{"text": " "}]]


@pytest.mark.parametrize("image", [IMAGE, {"type": "image_url", "image_url": PNG}])
def test_parts_are_rated_together(image: Any) -> None:
    (body,) = bodies(["a", {"type": "text", "text": "b"}, image])

    assert body["contents"][0]["parts"] == [
        {"text": "a"},
        {"text": "b"},
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
    ]


def test_an_image_alone_is_rated() -> None:
    (body,) = bodies([IMAGE])

    assert [next(iter(part)) for part in body["contents"][0]["parts"]] == ["inlineData", "text"]


@pytest.mark.parametrize(
    "model", ["gemini-2.5-pro", "gemini-3-flash-preview", "gemini-2.0-flash", "gemma-3-27b-it"]
)
def test_any_model_can_be_asked(model: str) -> None:
    (body,) = bodies("x", model)

    assert body["generationConfig"]["maxOutputTokens"] == 1


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ([], "input"),
        (["x"] * 33, "input"),
        ([{"type": "zip"}], "input[0].type"),
        (["x", {"type": "text"}], "input[1].text"),
        ([{"type": "image_url"}], "input[0].image_url"),
        ([{"type": "image_url", "image_url": "ftp://x"}], "input[0].image_url"),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,!"}}], "input[0].image_url.url"),
    ],
)
def test_an_input_that_cannot_be_rated_is_named(value: Any, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        conversations(msgspec.convert({"input": value}, ModerationRequest))

    assert caught.value.param == param
