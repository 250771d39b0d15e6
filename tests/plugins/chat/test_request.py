"""Chat requests beyond the golden files: spellings of other vendors, and the paths of errors and notes."""

from typing import Any

import pytest

from gateway.errors import BadRequest, UnsupportedParameter
from tests.support.chat import gemini_body, translation

USER = {"role": "user", "content": "hi"}
FUNCTION = {"type": "function", "function": {"name": "f"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
F3 = "gemini-3-flash-preview"


def request(**fields: Any) -> dict[str, Any]:
    return {"messages": [USER], **fields}


def user(part: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [part]}]}


def assistant(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", **fields}]}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [USER, {"role": "robot"}]}, "messages[1].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        (user({"type": "text"}), "messages[0].content[0].text"),
        (user({"type": "image_url"}), "messages[0].content[0].image_url"),
        (user({"type": "image_url", "image_url": "ftp://x"}), "messages[0].content[0].image_url"),
        (user({"type": "image_url", "image_url": {"url": "ftp://x"}}), "messages[0].content[0].image_url.url"),
        (user({"type": "video_url"}), "messages[0].content[0].video_url"),
        (user({"type": "input_audio"}), "messages[0].content[0].input_audio"),
        (user({"type": "input_audio", "input_audio": {"data": "*"}}), "messages[0].content[0].input_audio.data"),
        (user({"type": "file"}), "messages[0].content[0].file"),
        (user({"type": "file", "file": {}}), "messages[0].content[0].file"),
        (user({"type": "file", "file": {"file_id": "?"}}), "messages[0].content[0].file.file_id"),
        (user({"type": "file", "file": {"file_data": "*"}}), "messages[0].content[0].file.file_data"),
        ({"messages": [{"role": "system", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
        (assistant(content=[{"type": "image_url"}]), "messages[0].content[0].type"),
        (assistant(tool_calls=[{}]), "messages[0].tool_calls[0].function"),
        (assistant(tool_calls=[{"function": {"name": ""}}]), "messages[0].tool_calls[0].function.name"),
        (assistant(tool_calls=[{"custom": {"name": ""}}]), "messages[0].tool_calls[0].custom.name"),
        (assistant(function_call={"name": ""}), "messages[0].function_call.name"),
        (request(top_logprobs=1), "top_logprobs"),
        (request(tools=[{"type": "function"}]), "tools[0].function"),
        (request(tools=[{"type": "function", "function": {"name": ""}}]), "tools[0].function.name"),
        (request(tools=[{"type": "custom"}]), "tools[0].custom"),
        (request(tools=[{}]), "tools[0].type"),
        (request(functions=[{"name": ""}]), "functions[0].name"),
        (request(tools=[FUNCTION], tool_choice="sometimes"), "tool_choice"),
        (request(tools=[FUNCTION], tool_choice={"type": "function"}), "tool_choice.function"),
        (request(tools=[FUNCTION], tool_choice={"allowed_tools": {"tools": [], "mode": "odd"}}), "tool_choice.allowed_tools.mode"),
        (request(tools=[FUNCTION], tool_choice={"allowed_tools": {"tools": []}}), "tool_choice.allowed_tools.tools"),
        (request(tools=[FUNCTION], tool_choice={"type": "allowed_tools"}), "tool_choice.tools"),
        (request(tools=[FUNCTION], tool_choice={"allowed_tools": {"tools": [FUNCTION, {}]}}), "tool_choice.allowed_tools.tools[1].name"),
        (request(functions=[{"name": "f"}], function_call={"name": "g"}), "function_call"),
        (request(reasoning={"effort": "turbo"}), "reasoning.effort"),
        (request(reasoning_effort="turbo"), "reasoning_effort"),
        (request(response_format={"type": "xml"}), "response_format.type"),
        (request(response_format={"type": "json_schema"}), "response_format.json_schema"),
        (request(response_format={"type": "json_schema", "json_schema": {"schema": {"properties": 1}}}), "response_format.json_schema.schema"),
        (request(modalities=["smell"]), "modalities"),
    ],
)  # fmt: skip
def test_an_error_names_the_field(body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        translation(body)

    assert caught.value.param == param


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (request(max_tokens=10**6), "max_tokens"),
        (request(max_completion_tokens=10**6), "max_completion_tokens"),
        (request(google={"oddity": 1}), "google.oddity"),
        (request(extra_body={"google": {"oddity": 1}}), "extra_body.google.oddity"),
        (request(tools=[FUNCTION], web_search_options={}), "web_search_options"),
        (request(model="gemini-2.0-flash", reasoning={"max_tokens": 9}), "reasoning"),
        (request(model="gemini-2.0-flash", reasoning={"effort": "low"}), "reasoning.effort"),
        (request(model="gemini-2.0-flash", thinking={"type": "enabled"}), "thinking"),
        (assistant(tool_calls=[{**CALL, "function": {"name": "f", "arguments": "["}}]), "messages[0].tool_calls[0].function.arguments"),
        (assistant(function_call={"name": "f", "arguments": "["}), "messages[0].function_call.arguments"),
    ],
)  # fmt: skip
def test_a_note_names_the_field(body: dict[str, Any], note: str) -> None:
    assert note in translation(body).notes


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"reasoning": {"effort": "high"}}, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ({"reasoning": {"effort": "high", "exclude": True}}, {"thinkingLevel": "HIGH", "includeThoughts": False}),
        ({"reasoning": {"max_tokens": 4000}}, {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        ({"reasoning": {"enabled": True}}, {"includeThoughts": True}),
        ({"reasoning": {"enabled": True, "exclude": True}}, {"includeThoughts": False}),
        ({"reasoning": {"enabled": False, "effort": "high"}}, {"thinkingLevel": "MINIMAL", "includeThoughts": False}),
        ({"reasoning": {}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 20_000}}, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ({"thinking": {"type": "adaptive"}}, {"includeThoughts": True}),
        ({"thinking": {"type": "disabled"}}, {"thinkingLevel": "MINIMAL", "includeThoughts": False}),
        ({"thinking": {"type": "odd"}}, None),
        ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, {"thinkingLevel": "LOW", "includeThoughts": True}),
        ({"reasoning": {"effort": "high"}, "thinking": {"type": "disabled"}}, {"thinkingLevel": "HIGH", "includeThoughts": True}),
    ],
)  # fmt: skip
def test_each_vendors_way_to_ask_for_reasoning(
    wanted: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    config = gemini_body(request(**wanted), F3).get("generationConfig", {})

    assert config.get("thinkingConfig") == expected


@pytest.mark.parametrize(
    ("tool", "name", "options"),
    [
        ({"google_search": {"a": 1}}, "googleSearch", {"a": 1}),
        ({"googleSearch": {}}, "googleSearch", {}),
        ({"type": "web_search"}, "googleSearch", {}),
        ({"type": "web_search_preview"}, "googleSearch", {}),
        ({"type": "google_search", "google_search": {"a": 1}}, "googleSearch", {"a": 1}),
        ({"type": "googleMaps", "googleMaps": {"b": 2}}, "googleMaps", {"b": 2}),
        ({"url_context": {}}, "urlContext", {}),
        ({"type": "code_interpreter"}, "codeExecution", {}),
    ],
)
def test_the_options_of_a_built_in_tool_pass(
    tool: dict[str, Any], name: str, options: dict[str, Any]
) -> None:
    assert gemini_body(request(tools=[tool]), F3)["tools"] == [{name: options}]


def test_two_built_in_tools_in_one_object_are_two_tools() -> None:
    tools = gemini_body(request(tools=[{"google_search": {}, "urlContext": {}}]), F3)["tools"]

    assert tools == [{"googleSearch": {}}, {"urlContext": {}}]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("any", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "f"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ({"type": "function", "name": "f"}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ({"type": "custom", "custom": {"name": "f"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ({"allowed_tools": {"tools": [FUNCTION], "mode": "required"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ({"type": "allowed_tools", "tools": [{"name": "f"}]}, {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"name": "f"}]}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ({"type": "web_search"}, {"mode": "AUTO"}),
    ],
)  # fmt: skip
def test_each_spelling_of_a_choice(choice: Any, config: dict[str, Any]) -> None:
    body = gemini_body(request(tools=[FUNCTION], tool_choice=choice), F3)

    assert body["toolConfig"]["functionCallingConfig"] == config


def test_tools_win_over_legacy_functions_and_their_choice() -> None:
    both = translation(
        request(tools=[FUNCTION], functions=[{"name": "g"}], tool_choice="none", function_call="auto")
    )
    legacy = translation(request(functions=[{"name": "g"}], function_call={"name": "g"}))

    assert (both.rules.legacy, legacy.rules.legacy) == (False, True)
    assert both.request.tool_config is not None
    assert both.request.tool_config.function_calling_config is not None
    assert both.request.tool_config.function_calling_config.mode == "NONE"


@pytest.mark.parametrize(("parallel", "single"), [(False, True), (True, False), (None, False)])
def test_only_a_clear_false_keeps_one_call(parallel: bool | None, single: bool) -> None:
    assert translation(request(tools=[FUNCTION], parallel_tool_calls=parallel)).rules.single is single


def test_a_tool_without_a_type_is_a_function_if_it_has_one() -> None:
    (tool,) = gemini_body(request(tools=[{"function": {"name": "f"}}]))["tools"]

    assert [function["name"] for function in tool["functionDeclarations"]] == ["f"]


def test_a_text_signature_goes_to_the_last_text() -> None:
    extra = {"google": {"thought_signature": "S"}}
    body = assistant(
        content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], extra_content=extra
    )

    assert gemini_body(body)["contents"][1]["parts"] == [
        {"text": "a"},
        {"text": "b", "thoughtSignature": "S"},
    ]


def test_a_signature_without_text_comes_back_on_an_empty_one() -> None:
    body = assistant(content="", extra_content={"google": {"thought_signature": "S"}})

    assert gemini_body(body)["contents"][1]["parts"] == [{"text": "", "thoughtSignature": "S"}]


def test_a_refusal_is_a_text_of_the_assistant() -> None:
    assert gemini_body(assistant(refusal="No."))["contents"][1]["parts"] == [{"text": "No."}]
    assert gemini_body(assistant(content=[{"type": "refusal", "refusal": "No."}]))["contents"][1][
        "parts"
    ] == [{"text": "No."}]


def test_thoughts_of_an_earlier_answer_are_left_out() -> None:
    content = [{"type": "thinking", "text": "hm"}, {"type": "text", "text": "a"}]

    assert gemini_body(assistant(content=content))["contents"][1]["parts"] == [{"text": "a"}]


def test_the_clients_type_wins_over_the_extension_of_a_file() -> None:
    file = {"file_data": "AAAA", "filename": "a.csv", "mime_type": "text/plain", "format": "text/xml"}
    typed = gemini_body(user({"type": "file", "file": file}))
    named = gemini_body(user({"type": "file", "file": {"file_data": "AAAA", "filename": "a.csv"}}))

    assert typed["contents"][0]["parts"][0]["inlineData"]["mimeType"] == "text/xml"
    assert named["contents"][0]["parts"][0]["inlineData"]["mimeType"] == "text/csv"


def test_the_users_city_is_said_in_words() -> None:
    place = {"city": "Oslo", "country": "NO", "timezone": "Europe/Oslo"}
    body = gemini_body(request(web_search_options={"user_location": {"approximate": place}}), F3)

    assert body["systemInstruction"]["parts"] == [{"text": "The user is located in Oslo, NO (Europe/Oslo)."}]
    assert "systemInstruction" not in gemini_body(request(web_search_options={"user_location": {}}), F3)


@pytest.mark.parametrize("field", ["google", "extra_body"])
def test_strict_mode_refuses_unknown_options_of_gemini(field: str) -> None:
    options = {"oddity": 1}
    body = request(**{field: options if field == "google" else {"google": options}})

    with pytest.raises(UnsupportedParameter, match=r"knows no such option.*'google\.generation_config'"):
        translation(body, strict=True)
