"""A plain conversation means what the long way makes of it, or it goes the long way."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.parts import data_url
from gateway.conversation.plain import (
    PlainConversation,
    PlainPicture,
    PlainText,
    PlainTurn,
    contents_of,
    gemini_request,
)
from gateway.conversation.translation import TranslationContext, translate
from gateway.gemini.wire import Blob, Content, GenerateContentRequest, GenerationConfig, Part, SafetySetting
from tests.support.models import TABLE

FLASH = TABLE.of("gemini-2.5-flash")
USER = PlainTurn("user", "hi")
ANSWER = PlainTurn("assistant", "ok")


def recorded() -> ConversationBuilder:
    """Return the conversation of the long way, which says something else: a test sees which way was taken."""
    builder = ConversationBuilder("messages")
    builder.turn("user", "the long way", "messages[7]")
    return builder


def said(*turns: PlainTurn, instruction: str = "", temperature: float | None = None) -> PlainConversation:
    contents = contents_of(turns, instruction)
    assert contents is not None
    return PlainConversation(*contents, recorded, temperature)


class Picture(PlainPicture, tag="image"):
    data: str

    def part(self) -> Part:
        return Part(inline_data=data_url(f"data:image/png;base64,{self.data}", "here"))


def test_a_question_is_a_request_without_anything_else() -> None:
    assert gemini_request(said(USER), FLASH, ()) == GenerateContentRequest([Content([Part("hi")], "user")])


def test_instruction_numbers_and_thresholds_are_in_the_request() -> None:
    safety = [SafetySetting("HARM_CATEGORY_HARASSMENT", "OFF")]
    conversation = structs.replace(
        said(USER, instruction="Be brief.", temperature=0.5),
        top_p=0.25,
        top_k=3,
        max_output_tokens=9,
        seed=-1,
    )

    assert gemini_request(conversation, FLASH, safety) == GenerateContentRequest(
        [Content([Part("hi")], "user")],
        Content([Part("Be brief.")]),
        safety_settings=safety,
        generation_config=GenerationConfig(
            temperature=0.5, top_p=0.25, top_k=3, max_output_tokens=9, seed=-1
        ),
    )


def test_neighbours_of_one_role_are_one_turn() -> None:
    pieces = PlainTurn("user", [PlainText("a"), PlainText("b")])

    assert contents_of([pieces, USER, ANSWER, ANSWER, USER]) == (
        [
            Content([Part("a"), Part("b"), Part("hi")], "user"),
            Content([Part("ok"), Part("ok")], "model"),
            Content([Part("hi")], "user"),
        ],
        None,
    )


def test_a_picture_has_a_text_beside_it() -> None:
    ico = Part(inline_data=Blob("image/png", "aWNv"))
    both: list[PlainText | PlainPicture] = [PlainText("a"), Picture("aWNv")]

    assert contents_of([PlainTurn("user", both)]) == ([Content([Part("a"), ico], "user")], None)
    assert contents_of([PlainTurn("user", both[1:])]) == ([Content([ico, Part("")], "user")], None)


@pytest.mark.parametrize("turns", [
    [PlainTurn("user", [Picture("*")])],
    [PlainTurn("system", [Picture("aWNv")]), USER],
    [USER, PlainTurn("assistant", [PlainText("a"), Picture("aWNv")]), USER],
], ids=["broken", "in an instruction", "of the model"])  # fmt: skip
def test_another_picture_is_not_plain(turns: list[PlainTurn]) -> None:
    assert contents_of(turns) is None


def test_an_instruction_after_an_answer_stands_where_it_is_said() -> None:
    conversation = said(
        PlainTurn("system", "a"),
        USER,
        PlainTurn("developer", "b"),
        ANSWER,
        PlainTurn("system", ""),
        PlainTurn("system", "c"),
        USER,
    )

    assert conversation.system == Content([Part("a"), Part("b")])
    assert conversation.contents[2:] == [Content([Part("c"), Part("hi")], "user")]


@pytest.mark.parametrize(
    "turns",
    [[], [ANSWER], [ANSWER, USER], [USER, ANSWER], [PlainTurn("system", "a")]],
    ids=["nothing", "an answer", "an answer first", "an answer last", "an instruction"],
)
def test_a_history_that_has_to_be_completed_is_not_plain(turns: list[PlainTurn]) -> None:
    assert contents_of(turns) is None


@pytest.mark.parametrize(
    ("less", "change"),
    [
        ({"output": ("text", "image")}, {}),
        ({"sampling": False}, {"temperature": 0.5}),
        ({"temperature": 1.0}, {"temperature": 1.5}),
        ({"system": False}, {"system": Content([Part("Be brief.")])}),
        ({"output_tokens": 100}, {"max_output_tokens": 101}),
    ],
)
def test_what_a_model_does_not_take_is_not_plain(less: dict[str, Any], change: dict[str, Any]) -> None:
    conversation = structs.replace(said(USER), **change)

    assert gemini_request(conversation, FLASH, ()) is not None
    assert gemini_request(conversation, structs.replace(FLASH, **less), ()) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda context: structs.replace(context, search=True),
        lambda context: structs.replace(context, show_thoughts=True),
        lambda context: structs.replace(context, capabilities=TABLE.of("gemini-2.5-flash-image")),
    ],
    ids=["search", "thoughts", "capabilities"],
)
def test_a_translation_that_needs_more_takes_the_long_way(
    change: Callable[[TranslationContext], TranslationContext],
) -> None:
    context = TranslationContext("gemini-2.5-flash", FLASH)

    plain, long = translate(said(USER), context), translate(said(USER), change(context))

    assert plain.request.contents == [Content([Part("hi")], "user")]
    assert long.request.contents == [Content([Part("the long way")], "user")]


def test_origins_are_those_of_the_long_way() -> None:
    origins = translate(said(USER), TranslationContext("gemini-2.5-flash", FLASH)).origins

    assert origins.path("contents[0].parts") == "messages[7]"
    assert origins.of(["contents", "seed"]) == ["messages"]
    assert (origins.path(None), origins.of([])) == (None, [])
