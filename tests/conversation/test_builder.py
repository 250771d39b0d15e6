"""The builder records what any dialect says, and the translation writes it as Gemini takes it."""

import json
from typing import Any

import pytest

from gateway.conversation import parts
from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.translation import TranslationContext, translate
from gateway.errors import BadRequest
from gateway.gemini.wire import encode_request
from tests.support.models import TABLE


def contents(builder: ConversationBuilder, model: str = "gemini-3-flash-preview") -> Any:
    context = TranslationContext(model, TABLE.of(model))
    return json.loads(encode_request(translate(builder, context).request))["contents"]


def test_calls_belong_to_the_models_last_turn() -> None:
    builder = ConversationBuilder("items")
    builder.turn("user", "go", "items/0")
    builder.turn("model", "I look.", "items/1")
    builder.call("1", "f", "{}", None, "items/2", "items/2/args")
    builder.call("2", "g", "{}", None, "items/3", "items/3/args")
    builder.result("2", "two", "items/4")
    builder.result("1", "one", "items/5")

    user, model, results = contents(builder)

    assert user["parts"] == [{"text": "go"}]
    assert [next(iter(part)) for part in model["parts"]] == ["text", "functionCall", "functionCall"]
    assert [part["functionResponse"]["response"] for part in results["parts"]] == [
        {"output": "one"},
        {"output": "two"},
    ]


def test_a_new_turn_of_the_model_begins_a_new_step() -> None:
    builder = ConversationBuilder("items")
    builder.turn("model", [], "items/0")
    builder.call("1", "f", "{}", None, "items/0/call", "items/0/args")
    builder.turn("model", [], "items/1")
    builder.call("2", "f", "{}", None, "items/1/call", "items/1/args")
    builder.result("1", "one", "items/2")
    builder.result("2", "two", "items/3")

    roles = [(content["role"], len(content["parts"])) for content in contents(builder)]

    assert roles == [("user", 1), ("model", 1), ("user", 1), ("model", 1), ("user", 1)]


def test_an_error_is_a_response_of_its_own_kind() -> None:
    builder = ConversationBuilder("items")
    builder.call("1", "f", "{}", None, "items/0", "items/0/args")
    builder.result("1", '{"code": 5}', "items/1", error=True)

    assert contents(builder)[2]["parts"][0]["functionResponse"]["response"] == {"error": '{"code": 5}'}


def test_remote_files_are_listed_once_with_the_first_place_that_names_them() -> None:
    builder = ConversationBuilder("items")
    for i in range(2):
        builder.turn("user", [parts.at_url("https://x.example/a.png", f"items/{i}")], f"items/{i}")

    assert builder.remote_media() == {"https://x.example/a.png": "items/0"}


def test_the_recorded_conversation_is_not_changed_by_a_translation() -> None:
    builder = ConversationBuilder("items")
    builder.system("Be brief.", "system")
    builder.turn("user", "hi", "items/0")
    builder.turn("user", "there", "items/1")
    builder.call("1", "f", "{}", None, "items/2", "items/2/args")

    first = [contents(builder, model) for model in ("gemini-3-flash-preview", "gemma-3-27b-it")]
    second = [contents(builder, model) for model in ("gemini-3-flash-preview", "gemma-3-27b-it")]

    assert first == second
    assert first[0] != first[1]


@pytest.mark.row("G21")
@pytest.mark.parametrize(
    ("effort", "meant"), [("ultra", "max"), ("auto", None), ("default", None), ("off", "none")]
)
def test_g21_other_words_for_an_effort_are_understood_and_noted(effort: str, meant: str | None) -> None:
    builder = ConversationBuilder("messages")
    builder.think("reasoning_effort", effort=effort)

    assert builder.reasoning.effort == meant
    assert list(builder.notes) == ["reasoning_effort"]
    with pytest.raises(BadRequest):
        ConversationBuilder("messages", strict=True).think("reasoning_effort", effort=effort)


@pytest.mark.row("G5")
def test_g05_what_was_recorded_last_of_a_message_is_forgotten() -> None:
    builder = ConversationBuilder("messages")
    builder.turn("user", "kept", "messages[1]")
    builder.turn("model", "", "messages[10]")
    builder.call("c", "f", "{}", None, "messages[10].tool_calls[0]", "")
    builder.notes.add("messages[1].x")
    builder.notes.add("messages[10].content[0].type=zork")
    builder.forget("messages[10]")

    assert [item.at for item in builder.items] == ["messages[1]"]
    assert builder.calls == []
    assert list(builder.notes) == ["messages[1].x"]
