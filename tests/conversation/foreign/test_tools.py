"""Tools and tool choices in every vendor's shape."""

from typing import Any

import pytest

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.foreign.tools import read_choice, read_tool
from gateway.conversation.foreign.turns import bracketed
from gateway.conversation.invalid import UnknownShape
from gateway.conversation.tools import Choice

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
ERROR = UnknownShape("no", param="at")


def _declared(tool: object, *, strict: bool = False) -> ConversationBuilder:
    builder = ConversationBuilder("messages", strict=strict)
    read_tool(builder, tool, "tools[0]", bracketed, ERROR)
    return builder


@pytest.mark.row("G12")
@pytest.mark.parametrize(
    ("tool", "schema_at"),
    [
        ({"type": "function", "function": {"name": "f", "parameters": SCHEMA}}, "tools[0].function.parameters"),
        ({"type": "function", "name": "f", "parameters": SCHEMA}, "tools[0].parameters"),
        ({"name": "f", "input_schema": SCHEMA}, "tools[0].input_schema"),
        ({"type": "custom", "name": "f", "input_schema": SCHEMA}, "tools[0].input_schema"),
        ({"name": "f", "inputSchema": SCHEMA}, "tools[0].inputSchema"),
        ({"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}}}, "tools[0].toolSpec.inputSchema"),
        ({"functionDeclarations": [{"name": "f", "parametersJsonSchema": SCHEMA}]},
         "tools[0].functionDeclarations[0].parametersJsonSchema"),
    ],
)  # fmt: skip
def test_g12_a_function_of_every_vendor(tool: dict[str, Any], schema_at: str) -> None:
    builder = _declared(tool)
    function = builder.tools.functions["f"]

    assert (function.schema, function.schema_at, function.custom) == (SCHEMA, schema_at, False)
    assert list(builder.notes)


@pytest.mark.parametrize(
    "tool",
    [
        {
            "type": "custom",
            "name": "f",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start"},
        },
        {
            "type": "custom",
            "custom": {"name": "f", "format": {"grammar": {"syntax": "lark", "definition": "start"}}},
        },
    ],
)
def test_a_custom_tool_is_a_function_of_one_text(tool: dict[str, Any]) -> None:
    function = _declared(tool).tools.functions["f"]

    assert function.custom
    assert "start" in (function.description or "")


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ({"type": "web_search_20250305", "name": "web_search"}, "google_search"),
        ({"type": "web_search_preview_2025_03_11"}, "google_search"),
        ({"type": "web_fetch_20250910", "name": "web_fetch"}, "url_context"),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, "code_execution"),
        ({"googleSearch": {}}, "google_search"),
        ({"url_context": {}}, "url_context"),
    ],
)
def test_a_hosted_tool_is_googles_own(tool: dict[str, Any], name: str) -> None:
    assert list(_declared(tool).tools.built_ins) == [name]


@pytest.mark.row("G5")
@pytest.mark.parametrize(
    "tool", [{"type": "mcp", "server_label": "x"}, {"type": "mcp_toolset", "mcp_server_name": "x"}, {"type": "computer_20250124", "name": "c"}]
)  # fmt: skip
def test_g05_a_tool_that_gemini_does_not_have_is_noted(tool: dict[str, Any]) -> None:
    builder = _declared(tool)

    assert not builder.tools
    assert list(builder.notes) == [f"tools[0].type={tool['type']}"]


@pytest.mark.parametrize(
    "tool", [None, 5, {}, {"type": "function"}, {"type": 5}, {"type": "custom", "name": ""}]
)
def test_what_is_no_tool_is_a_mistake(tool: object) -> None:
    with pytest.raises(UnknownShape):
        _declared(tool)


def test_strict_mode_refuses_a_foreign_tool() -> None:
    with pytest.raises(UnknownShape):
        _declared({"name": "f", "input_schema": SCHEMA}, strict=True)


def _chosen(choice: object, *, strict: bool = False) -> Choice | None:
    builder = ConversationBuilder("messages", strict=strict)
    builder.tools.function("f", None, SCHEMA, "tools[0]", "tools[0]")
    read_choice(builder, choice, "tool_choice", ERROR)
    assert list(builder.notes) == ["tool_choice"]
    return builder.tools.choice


@pytest.mark.row("G12")
@pytest.mark.parametrize(
    ("choice", "mode", "names"),
    [
        ("auto", "auto", None), ("none", "none", None), ("required", "required", None), ("any", "required", None),
        ("ANY", "required", None), ("f", "required", ("f",)),
        ({"type": "auto"}, "auto", None), ({"type": "any"}, "required", None), ({"type": "none"}, "none", None),
        ({"type": "required"}, "required", None), ({"type": "tool", "name": "f"}, "required", ("f",)),
        ({"type": "tool", "toolName": "f"}, "required", ("f",)),
        ({"type": "function", "function": {"name": "f"}}, "required", ("f",)),
        ({"type": "function", "name": "f"}, "required", ("f",)), ({"name": "f"}, "required", ("f",)),
        ({"type": "custom", "custom": {"name": "f"}}, "required", ("f",)),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}, "allowed", ("f",)),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"function": {"name": "f"}}]}},
         "required", ("f",)),
        ({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}, "required", ("f",)),
        ({"function_calling_config": {"mode": "NONE"}}, "none", None), ({"mode": "AUTO"}, "auto", None),
        ({"auto": {}}, "auto", None), ({"any": {}}, "required", None), ({"tool": {"name": "f"}}, "required", ("f",)),
    ],
)  # fmt: skip
def test_g12_a_choice_of_every_vendor(choice: object, mode: str, names: tuple[str, ...] | None) -> None:
    result = _chosen(choice)

    assert result is not None
    assert (result.mode, result.names, result.built_in) == (mode, names, False)


def test_a_hosted_tool_cannot_be_forced() -> None:
    result = _chosen({"type": "file_search"})

    assert result is not None
    assert result.built_in


@pytest.mark.parametrize(
    "choice",
    [None, 5, "sometimes", {}, {"type": "function"}, {"type": "tool"}, {"type": "allowed_tools", "tools": []},
     {"type": "allowed_tools", "mode": "maybe", "tools": [{"name": "f"}]}],
)  # fmt: skip
def test_what_is_no_choice_is_a_mistake(choice: object) -> None:
    with pytest.raises(UnknownShape):
        _chosen(choice)


def test_strict_mode_refuses_a_foreign_choice() -> None:
    with pytest.raises(UnknownShape):
        _chosen("ANY", strict=True)
