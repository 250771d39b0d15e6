"""Messages and items of any vendor's dialect."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw, Struct

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.foreign.turns import (
    Dialect,
    ForeignTurns,
    bracketed,
    dotted,
    instructions,
    token_limit,
    turns_elsewhere,
)
from gateway.conversation.invalid import UnknownShape
from gateway.conversation.pairing import Result, Turn
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini.wire import Part


class _Message(Struct):
    role: str
    content: str


DIALECT = Dialect(_Message)
ERROR = UnknownShape("the surface's own error", param="messages[0]")


def _read(*turns: Any, strict: bool = False) -> ConversationBuilder:
    builder = ConversationBuilder("messages", strict=strict)
    reader = ForeignTurns(builder, list(turns), DIALECT)
    for i in range(len(turns)):
        reader.instead(i, f"messages[{i}]", ERROR)
    return builder


def _said(builder: ConversationBuilder) -> list[tuple[str, list[str | None]]]:
    return [
        (item.role if isinstance(item, Turn) else "result", [p.text for p in item.parts if isinstance(p, Part)])
        for item in builder.items
    ]  # fmt: skip


@pytest.mark.row("G12")
@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ({"role": "human", "content": "x"}, [("user", ["x"])]),
        ({"role": "model", "parts": [{"text": "x"}]}, [("model", ["x"])]),
        ({"role": "user", "content": ["x", {"text": "y"}]}, [("user", ["x", "y"])]),
        ({"role": "user", "content": {"type": "text", "text": "x"}}, [("user", ["x"])]),
        ({"role": "system", "content": [{"type": "zork"}]}, [("system", ["[zork]"])]),
        ({"type": "input_text", "text": "x"}, [("user", ["x"])]),
        ("x", [("user", ["x"])]),
        ({"role": "assistant", "content": None, "refusal": "no"}, [("model", ["no"])]),
        ({"role": "tool", "tool_call_id": "c", "content": [{"type": "zork"}]}, [("result", ["[zork]"])]),
        ({"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c", "result": "1"}]}, [("result", ["1"])]),
        ({"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "tool_result", "content": "1"}]},
         [("result", ["1"]), ("user", ["x"])]),
        ({"type": "function_call_output", "call_id": "c", "output": "1"}, [("result", ["1"])]),
        ({"type": "web_search_call", "action": {"query": "q"}}, [("model", ['[web_search_call] {"action":{"query":"q"}}'])]),
        ({"type": "shell_call_output", "output": [{"stdout": "s"}]}, [("user", ['[shell_call_output] {"output":[{"stdout":"s"}]}'])]),
        ({"type": "reasoning", "summary": []}, []),
    ],
)  # fmt: skip
def test_g12_a_turn_of_every_vendor(turn: Any, expected: list[tuple[str, list[str]]]) -> None:
    assert _said(_read(turn)) == expected


@pytest.mark.row("G12", "G21")
def test_g21_an_answer_with_thoughts_and_calls_in_its_content() -> None:
    content = [
        {"type": "think", "think": "hm"},
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "text", "text": "x"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {}},
        {"type": "tool_use", "id": "d", "name": "f", "input": {}},
    ]
    builder = _read({"role": "assistant", "content": content})

    assert _said(builder) == [("model", ["x"])]
    assert [(call.id, call.signature) for call in builder.calls] == [("c", "sig"), ("d", None)]
    assert "messages[0].content[0].type=think" in builder.notes


def test_a_signature_without_a_call_is_the_texts() -> None:
    builder = _read(
        {
            "role": "assistant",
            "content": [{"type": "thinking", "signature": "s"}, {"type": "text", "text": "x"}],
        }
    )

    (turn,) = builder.items
    assert turn.parts == [Part(text="x", thought_signature="s")]


def test_calls_beside_a_foreign_content() -> None:
    call = {
        "id": "c",
        "function": {"name": "f", "arguments": {"a": 1}},
        "extra_content": {"google": {"thought_signature": "s"}},
    }
    builder = _read({"role": "assistant", "content": [{"type": "zork"}], "tool_calls": [call]})

    assert [(c.name, c.arguments, c.signature) for c in builder.calls] == [("f", '{"a":1}', "s")]


def test_a_result_in_an_answer_follows_its_call() -> None:
    content = [
        {"type": "tool-call", "toolCallId": "c", "toolName": "f", "input": {}},
        {"type": "tool-result", "toolCallId": "c", "output": {"type": "text", "value": "1"}},
    ]
    builder = _read({"role": "assistant", "content": content})

    assert isinstance(builder.items[-1], Result)


def test_a_picture_in_an_instruction_is_said_by_the_user() -> None:
    picture = {"type": "image", "image": "data:image/png;base64,iVBORw0KGgo="}
    builder = _read({"role": "system", "content": [{"type": "text", "text": "x"}, picture]})

    assert [item.role for item in builder.items if isinstance(item, Turn)] == ["system", "user"]


def test_what_the_surface_has_recorded_is_recorded_once() -> None:
    builder = ConversationBuilder("messages")
    builder.turn("user", "before", "messages[1]")
    builder.turn("user", "half", "messages[10]")
    ForeignTurns(builder, [None] * 10 + ["whole"], DIALECT).instead(10, "messages[10]", ERROR)

    assert _said(builder) == [("user", ["before"]), ("user", ["whole"])]


@pytest.mark.parametrize(
    ("turn", "param"),
    [
        ({"role": "user", "content": 5}, "messages[0].content"),
        ({"role": 5, "content": "x"}, "messages[0].role"),
        ({"role": "robot", "content": "x"}, "messages[0]"),
        (7, "messages[0]"),
        ({"role": "user", "content": [{}]}, "messages[0].content"),
    ],
)
def test_a_turn_of_no_dialect_is_the_clients_mistake(turn: Any, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        _read(turn)

    assert caught.value.param == param


def test_strict_mode_refuses_in_the_surfaces_own_words() -> None:
    with pytest.raises(UnknownShape, match="own error"):
        _read({"role": "user", "content": [{"type": "zork"}]}, strict=True)


def _fields(**fields: Any) -> dict[str, Raw]:
    return {name: Raw(msgspec.json.encode(value)) for name, value in fields.items()}


@pytest.mark.row("G12")
@pytest.mark.parametrize(
    "value", ["hi", [{"role": "user", "content": "hi"}], [{"type": "input_text", "text": "hi"}], {"role": "user", "content": "hi"}]
)  # fmt: skip
def test_g12_turns_in_another_surfaces_field(value: Any) -> None:
    builder = ConversationBuilder("messages")
    turns_elsewhere(builder, _fields(input=value), ("contents", "input"), DIALECT)

    assert _said(builder) == [("user", ["hi"])]
    assert "input" in builder.notes


def test_no_turns_at_all_are_the_surfaces_field_missing() -> None:
    with pytest.raises(BadRequest) as caught:
        turns_elsewhere(ConversationBuilder("messages"), {}, ("input",), DIALECT)

    assert caught.value.param == "messages"


@pytest.mark.parametrize(
    ("name", "value"),
    [("system", "be"), ("system", [{"type": "text", "text": "be"}]), ("instructions", "be"),
     ("systemInstruction", {"parts": [{"text": "be"}]})],
)  # fmt: skip
def test_instructions_in_another_surfaces_field(name: str, value: Any) -> None:
    builder = ConversationBuilder("messages")
    instructions(builder, _fields(**{name: value}), DIALECT)

    assert _said(builder) == [("system", ["be"])]
    assert name in builder.notes


def test_strict_mode_refuses_an_instruction_elsewhere() -> None:
    with pytest.raises(UnsupportedParameter):
        instructions(ConversationBuilder("messages", strict=True), _fields(system="be"), DIALECT)


def test_paths_are_in_the_surfaces_spelling() -> None:
    assert bracketed(bracketed("messages", 0), "content") == "messages[0].content"
    assert dotted(dotted("messages", 0), "content") == "messages.0.content"


@pytest.mark.parametrize(("value", "limit"), [(7, 7), (0, None), (True, None), ("7", None), (2**40, None)])
def test_a_limit_in_another_surfaces_field(value: Any, limit: int | None) -> None:
    fields = _fields(max_output_tokens=value)

    assert token_limit(ConversationBuilder("messages"), fields) == limit
    assert token_limit(ConversationBuilder("messages", strict=True), fields) is None
