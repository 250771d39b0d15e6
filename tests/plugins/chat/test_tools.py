"""Tools on chat completions, in chat's own shapes and in others'."""

import json
from typing import Any

import pytest

from gateway.errors import BadRequest
from tests.support.chat import gemini_body, translation

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
HELLO = [{"role": "user", "content": "weather in Rome"}]
CURSOR = [
    {"type": "function", "name": "get_weather", "parameters": SCHEMA},
    {"type": "custom", "name": "ApplyPatch", "description": "d",
     "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/s"}},
    {"name": "get_news", "description": "d", "input_schema": SCHEMA},
]  # fmt: skip
"""Cursor's agent mode sends tools of three dialects to chat (litellm#34029)."""


@pytest.mark.row("G12")
def test_g12_tools_of_three_dialects_are_declared() -> None:
    body = gemini_body({"messages": HELLO, "tools": CURSOR})

    declared = body["tools"][0]["functionDeclarations"]
    assert [function["name"] for function in declared] == ["get_weather", "ApplyPatch", "get_news"]
    assert declared[0]["parametersJsonSchema"] == declared[2]["parametersJsonSchema"] == SCHEMA
    assert "start: /.+/s" in declared[1]["description"]
    assert translation({"messages": HELLO, "tools": CURSOR}).notes == ["tools[0]"]


@pytest.mark.row("G12")
@pytest.mark.parametrize(
    "choice", [{"type": "tool", "name": "get_news"}, {"type": "function", "name": "get_news"}, "get_news",
               {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_news"]}}]
)  # fmt: skip
def test_g12_a_choice_of_any_dialect_forces_the_function(choice: Any) -> None:
    body = gemini_body({"messages": HELLO, "tools": CURSOR, "tool_choice": choice})

    config = body["toolConfig"]["functionCallingConfig"]
    assert (config["mode"], config["allowedFunctionNames"]) == ("ANY", ["get_news"])


@pytest.mark.row("G12")
@pytest.mark.parametrize("tool", [*CURSOR, {"type": "mcp", "server_label": "x"}], ids=json.dumps)
def test_g12_strict_mode_refuses_a_foreign_tool(tool: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        translation({"messages": HELLO, "tools": [tool]}, strict=True)

    assert (caught.value.param or "").startswith("tools[0]")
