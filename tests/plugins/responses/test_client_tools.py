"""Tools that the client runs: namespaces, tools among the items, tool search, and the choice of a tool."""

from typing import Any

import msgspec
import pytest

from gateway.errors import BadRequest, UnsupportedParameter
from tests.support.responses import gemini_body, translation
from tests.support.responses_calls import Calls, call, declared

F3 = "gemini-3-flash-preview"
SCHEMA = {"type": "object", "properties": {"number": {"type": "string"}}}
TEXT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


def function(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": SCHEMA, **fields}


def space(name: str, *tools: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "namespace", "name": name, "description": "", "tools": list(tools), **fields}


CUSTOM = {"type": "custom", "name": "exec"}
TRACKER = space("mcp__tracker", function("lookup_ticket"), CUSTOM)
OTHER = space("mcp__other", function("lookup_ticket"))
CASE = {"model": "gemini-2.5-flash", "stream": True, "input": "look up ticket 7", "tools": [
    {"type": "namespace", "name": "mcp__tracker", "description": "d", "tools": [function("lookup_ticket")]},
    {"type": "namespace", "name": "mcp__other", "description": "d", "tools": [
        {"type": "function", "name": "lookup_ticket", "parameters": {
            "type": "object", "properties": {"q": {"type": "string"}}}}]},
]}  # fmt: skip


@pytest.mark.row("G1")
@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ("mcp__tracker__lookup_ticket", "mcp__tracker"),
        ("mcp__other__lookup_ticket", "mcp__other"),
        ("lookup_ticket", "mcp__tracker"),
        ("mcp__other.lookup_ticket", "mcp__other"),
        ("default_api:mcp__other__lookup_ticket", "mcp__other"),
        ("default_api.lookup_ticket", "mcp__tracker"),
    ],
)
def test_g01_a_call_names_its_namespace_everywhere(called: str, expected: str) -> None:
    calls = Calls(CASE, call(called, number="7"))

    assert declared(CASE) == ["mcp__tracker__lookup_ticket", "mcp__other__lookup_ticket"]
    assert calls.named("name") == ["lookup_ticket"] * 5  # added, delta, done, item done, response
    assert calls.named("namespace") == [expected] * 5
    assert calls.items[0]["arguments"] == '{"number":"7"}'
    assert calls.unary == calls.items


@pytest.mark.row("G1")
def test_g01_a_custom_tool_in_a_namespace_takes_a_text() -> None:
    request = {"input": "x", "tools": [space("functions", CUSTOM), CUSTOM]}
    calls = Calls(request, call("functions__exec", input="ls -l"))

    assert declared(request) == ["functions__exec", "exec"]
    assert calls.items[0]["type"] == "custom_tool_call"
    assert (calls.items[0]["namespace"], calls.items[0]["name"]) == ("functions", "exec")
    assert calls.items[0]["input"] == "ls -l"
    assert calls.named("namespace") == ["functions"] * 5
    assert "namespace" not in Calls(request, call("exec", input="ls")).items[0]


@pytest.mark.row("G1")
def test_g01_a_tool_outside_namespaces_is_returned_without_one() -> None:
    item = Calls({"input": "x", "tools": [function("f"), TRACKER]}, call("f")).items[0]

    assert (item["name"], "namespace" in item) == ("f", False)


@pytest.mark.row("G1")
def test_g01_names_that_would_be_equal_stay_apart() -> None:
    long = "mcp__" + "a" * 70
    tools = [
        function("a__b__c"), space("a", function("b__c")), space("a__b", function("c")), space("a__b__", function("c")),
        space(long + "1", function("find_it")), space(long + "2", function("find_it")), function("a__b__c_2"),
    ]  # fmt: skip
    request = {"input": "x", "tools": tools}
    names = declared(request)

    assert len(set(names)) == len(tools)
    assert all(len(name) <= 64 for name in names)
    assert "find_it" in names[4]
    given = [Calls(request, call(name)).items[0] for name in names]
    assert [(item.get("namespace"), item["name"]) for item in given] == [
        (None, "a__b__c"), ("a", "b__c"), ("a__b", "c"), ("a__b__", "c"),
        (long + "1", "find_it"), (long + "2", "find_it"), (None, "a__b__c_2"),
    ]  # fmt: skip


@pytest.mark.row("G1")
def test_g01_history_is_told_under_the_declared_names() -> None:
    items = [
        {"role": "user", "content": "x"},
        {"type": "function_call", "call_id": "1", "namespace": "mcp__other", "name": "lookup_ticket", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "2", "namespace": "mcp__tracker", "name": "exec", "input": "ls"},
        {"type": "function_call", "call_id": "3", "name": "lookup_ticket", "arguments": "{}"},
        {"type": "function_call", "call_id": "4", "namespace": "functions", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "5", "namespace": "gone", "name": "g", "arguments": "{}"},
        {"type": "function_call", "call_id": "6", "name": "mcp__other.lookup_ticket", "arguments": {"number": "1"}},
        *({"type": "function_call_output", "call_id": str(i), "output": "ok"} for i in range(1, 7)),
    ]  # fmt: skip
    request = {"model": F3, "input": items, "tools": [TRACKER, OTHER, function("f")]}
    contents = gemini_body(request)["contents"]

    expected = [
        "mcp__other__lookup_ticket", "mcp__tracker__exec", "mcp__tracker__lookup_ticket", "f", "gone__g",
        "mcp__other__lookup_ticket",
    ]  # fmt: skip
    assert [part["functionCall"]["name"] for part in contents[1]["parts"]] == expected
    assert [part["functionResponse"]["name"] for part in contents[2]["parts"]] == expected
    assert contents[1]["parts"][5]["functionCall"]["args"] == {"number": "1"}


@pytest.mark.row("G1")
@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "function", "name": "lookup_ticket", "namespace": "mcp__other"}, [1]),
        ({"type": "function", "name": "mcp__other__lookup_ticket"}, [1]),
        ({"type": "function", "name": "mcp__other.lookup_ticket"}, [1]),
        ({"type": "custom", "name": "exec", "namespace": "mcp__tracker"}, [2]),
        ({"type": "function", "name": "lookup_ticket"}, [0, 1]),
        ({"type": "namespace", "name": "mcp__tracker"}, [0, 2]),
        ({"type": "function", "name": "f", "namespace": "functions"}, [3]),
    ],
)
def test_g01_a_choice_names_a_tool_of_a_namespace(choice: dict[str, Any], expected: list[int]) -> None:
    names = ["mcp__tracker__lookup_ticket", "mcp__other__lookup_ticket", "mcp__tracker__exec", "f"]
    wanted = sorted(names[i] for i in expected)
    tools = {"model": F3, "input": "x", "tools": [TRACKER, OTHER, function("f")]}
    for form, mode in (
        (choice, "ANY"),
        ({"type": "allowed_tools", "mode": "required", "tools": [choice]}, "ANY"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [choice, {"type": "web_search"}]}, "VALIDATED"),
    ):
        config = gemini_body({**tools, "tool_choice": form})["toolConfig"]["functionCallingConfig"]
        assert (config["mode"], sorted(config["allowedFunctionNames"])) == (mode, wanted)


@pytest.mark.row("G1")
def test_g01_a_choice_of_hosted_tools_alone_forbids_functions_and_one_of_nothing_is_refused() -> None:
    hosted = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}
    body = translation({"model": F3, "input": "x", "tools": [function("f")], "tool_choice": hosted})
    config = body.request.tool_config

    assert config is not None
    assert config.function_calling_config is not None
    assert config.function_calling_config.mode == "NONE"
    assert body.notes == ["tool_choice.tools[0].type=web_search"]
    for choice in ({"type": "function", "name": "f", "namespace": "no"}, {"type": "shell"}):
        with pytest.raises(BadRequest, match="no tool is named"):
            translation({"model": F3, "input": "x", "tools": [function("f")], "tool_choice": choice})


@pytest.mark.row("G1")
def test_g01_a_description_of_a_namespace_stands_at_its_first_tool() -> None:
    tools = [
        space(
            "crm", function("a", description="A."), function("b", description="B."), description="Customers."
        )
    ]
    functions = gemini_body({"input": "x", "tools": tools})["tools"][0]["functionDeclarations"]

    assert [f["description"] for f in functions] == ["Tools of crm: Customers.\n\nA.", "B."]


def test_a_tool_that_is_declared_again_is_noted_if_it_differs() -> None:
    again = translation({"input": "x", "tools": [TRACKER, TRACKER, function("f"), function("f")]})
    other = translation(
        {"input": "x", "tools": [space("s", function("f")), space("s", function("f", strict=True))]}
    )

    assert again.notes == []
    assert other.notes == ["tools[1].tools[0]"]


@pytest.mark.row("G2")
def test_g02_tools_among_the_items_are_declared() -> None:
    tools = [space("functions", CUSTOM, function("wait")), function("f"), {"type": "web_search"}]
    items = [
        {"type": "additional_tools", "role": "developer", "tools": tools},
        {"type": "message", "role": "user", "content": "list files"},
    ]
    request = {"model": "gemini-3-flash-preview", "input": items, "tool_choice": "required"}
    body = gemini_body(request)

    assert declared(request) == ["functions__exec", "functions__wait", "f"]
    assert {"googleSearch": {}} in body["tools"]
    assert body["toolConfig"]["functionCallingConfig"]["mode"] == "ANY"
    assert [content["role"] for content in body["contents"]] == ["user"]
    item = Calls(request, call("functions__exec", input="ls")).items[0]
    assert (item["type"], item["namespace"], item["name"]) == ("custom_tool_call", "functions", "exec")
    item = Calls(request, call("wait", number="1")).items[0]
    assert (item["type"], item["namespace"], item["name"]) == ("function_call", "functions", "wait")


@pytest.mark.row("G2")
def test_g02_stored_tools_are_declared_again_and_a_mistake_is_noted_by_its_place() -> None:
    stored = [{"type": "additional_tools", "role": "developer", "tools": [TRACKER]}]
    items: list[Any] = [
        {"role": "user", "content": "x"},
        {"type": "additional_tools", "tools": [5, function("f"), {}]},
    ]
    result = translation({"input": items}, stored)

    names = [f.name for tool in result.request.tools or () for f in tool.function_declarations or ()]
    assert names == ["mcp__tracker__lookup_ticket", "mcp__tracker__exec", "f"]
    assert result.notes == ["input[1].tools[0]"]
    foreign = [
        {"type": "function", "function": {"name": "chat", "parameters": SCHEMA}},
        {"name": "anthropic", "input_schema": SCHEMA},
        {"functionDeclarations": [{"name": "google", "parameters": SCHEMA}]},
    ]
    items[1:] = [
        {"type": "tool_search_call", "call_id": "c", "arguments": {}},
        {"type": "tool_search_output", "call_id": "c", "tools": foreign},
    ]
    result = translation({"input": items})
    names = [f.name for tool in result.request.tools or () for f in tool.function_declarations or ()]
    assert names == ["chat", "anthropic", "google"]
    response = (result.request.contents[2].parts or [])[0].function_response
    assert response is not None
    assert msgspec.json.encode(response.response) == b'{"tools":["chat","anthropic","google"]}'
    items[1:] = [{"type": "additional_tools", "tools": [5, function("f"), {}]}]
    with pytest.raises(UnsupportedParameter) as refused:
        translation({"input": items}, strict=True)
    assert refused.value.param == "input[1].tools[0]"


SEARCH = {"type": "tool_search", "execution": "client", "description": "search tools",
          "parameters": {"type": "object", "properties": {"query": {"type": "string"}}}}  # fmt: skip


@pytest.mark.row("G3")
def test_g03_a_tool_search_is_a_function_that_comes_back_with_an_object() -> None:
    request = {"model": F3, "input": "find a tool", "tools": [SEARCH]}
    calls = Calls(request, call("tool_search", query="calendar", limit=1))

    (declaration,) = gemini_body(request)["tools"][0]["functionDeclarations"]
    assert declaration == {"name": "tool_search", "description": "search tools",
                           "parametersJsonSchema": SEARCH["parameters"]}  # fmt: skip
    (item,) = calls.items
    assert item == {"id": item["id"], "type": "tool_search_call", "call_id": item["call_id"], "execution": "client",
                    "arguments": {"query": "calendar", "limit": 1}, "status": "completed"}  # fmt: skip
    assert calls.unary == calls.items
    assert [event["type"] for event in calls.item_events] == [
        "response.output_item.added",
        "response.output_item.done",
    ]
    assert calls.item_events[0]["item"]["status"] == "in_progress"


@pytest.mark.row("G3")
@pytest.mark.parametrize("execution", ["client", "server", None])
def test_g03_the_tools_of_a_search_are_declared_from_then_on(execution: str | None) -> None:
    call_id = {"call_id": "c"} if execution == "client" else {"call_id": None}
    items = [
        {"role": "user", "content": "q"},
        {"type": "tool_search_call", **call_id, "execution": execution, "arguments": {"query": "x"}},
        {"type": "tool_search_output", **call_id, "execution": execution,
         "tools": [function("lookup_ticket"), space("crm", function("find"))]},
        {"role": "user", "content": "go"},
    ]  # fmt: skip
    request = {"model": F3, "store": False, "input": items, "tools": [SEARCH]}
    contents = gemini_body(request)["contents"]

    assert declared(request) == ["tool_search", "lookup_ticket", "crm__find"]
    assert contents[1]["parts"][0]["functionCall"]["name"] == "tool_search"
    assert contents[1]["parts"][0]["functionCall"]["args"] == {"query": "x"}
    assert contents[2]["parts"][0]["functionResponse"]["response"] == {
        "tools": ["lookup_ticket", "crm__find"]
    }
    assert Calls(request, call("crm__find")).items[0]["namespace"] == "crm"


@pytest.mark.row("G3")
def test_g03_the_tools_of_a_search_are_declared_without_the_search() -> None:
    items = [
        {"role": "user", "content": "q"},
        {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {"query": "x"}},
        {
            "type": "tool_search_output",
            "call_id": "c",
            "execution": "client",
            "tools": [function("lookup_ticket")],
        },
        {"role": "user", "content": "go"},
    ]
    request = {"model": "gemini-2.5-flash", "store": False, "input": items}

    assert declared(request) == ["lookup_ticket"]
    assert translation(request).notes == []


@pytest.mark.row("G3")
def test_g03_a_hosted_search_is_noted_because_its_tools_are_declared_at_once() -> None:
    tools = [{"type": "tool_search"}, space("crm", function("find", defer_loading=True))]
    result = translation({"input": "x", "tools": tools})

    assert result.notes == ["tools[0].type=tool_search"]
    assert declared({"input": "x", "tools": tools}) == ["crm__find"]


@pytest.mark.row("G3")
def test_g03_a_function_named_like_a_known_tool_stays_apart() -> None:
    request = {"input": "x", "tools": [function("tool_search"), SEARCH, function("shell"), {"type": "shell"}]}
    names = declared(request)

    assert len(set(names)) == 4
    kinds = [Calls(request, call(name)).items[0] for name in names]
    assert [item["type"] for item in kinds] == [
        "function_call",
        "tool_search_call",
        "function_call",
        "shell_call",
    ]
    assert [item["name"] for item in kinds[::2]] == ["tool_search", "shell"]


@pytest.mark.row("G20")
def test_g20_known_tools_are_declared_and_can_be_chosen() -> None:
    kinds = ["shell", "local_shell", "apply_patch"]
    tools = [{"type": kind} for kind in kinds]
    for kind in kinds:
        request = {"model": F3, "input": "x", "tools": tools, "tool_choice": {"type": kind}}
        config = gemini_body(request)["toolConfig"]["functionCallingConfig"]
        assert (config["mode"], config["allowedFunctionNames"]) == ("ANY", [kind])
        assert declared(request) == kinds


@pytest.mark.row("G20")
@pytest.mark.parametrize("kind", ["container_auto", "container_reference"])
def test_g20_a_shell_in_a_container_is_refused(kind: str) -> None:
    with pytest.raises(BadRequest) as refused:
        translation({"input": "x", "tools": [{"type": "shell", "environment": {"type": kind}}]})

    assert refused.value.param == "tools[0].environment.type"


@pytest.mark.row("G20")
def test_g20_the_skills_of_a_local_shell_are_described() -> None:
    skills = [{"name": "deploy", "description": "Ships it.", "path": "/s/deploy"}, 5]
    tools = [{"type": "shell", "environment": {"type": "local", "skills": skills}}]
    (shell,) = gemini_body({"input": "x", "tools": tools})["tools"][0]["functionDeclarations"]

    assert "deploy (/s/deploy): Ships it." in shell["description"]


@pytest.mark.row("G20")
@pytest.mark.parametrize("value", ["conv_1", {"id": "conv_1"}])
def test_g20_a_conversation_is_refused_clearly(value: Any) -> None:
    with pytest.raises(UnsupportedParameter, match="'previous_response_id'") as refused:
        translation({"input": "x", "conversation": value})

    assert refused.value.param == "conversation"


def test_many_tools_with_one_joined_name_take_linear_time() -> None:
    name = "__".join("a" * 300)
    splits = [i for i in range(len(name)) if name.startswith("__", i) and 0 < i < len(name) - 2]
    request = {"input": "x", "tools": [space(name[:i], function(name[i + 2 :])) for i in splits]}

    assert len(set(declared(request))) == len(splits)
    assert len(msgspec.json.encode(request)) > 0
