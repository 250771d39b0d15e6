"""Calls of tools that the client runs: `shell_call`, `local_shell_call`, `apply_patch_call` and their outputs."""

from typing import Any

import msgspec
import pytest

from gateway.errors import GatewayError
from gateway.plugins.responses.client_calls import KNOWN_CALLS, KNOWN_OUTPUTS
from gateway.plugins.responses.wire import Item
from tests.support.responses import gemini_body, translation
from tests.support.responses_calls import Calls, call

F3 = "gemini-3-flash-preview"
DIFF = "@@ def f():\n-\tréturn  1\n+\treturn 2 \n \r\n\\ No newline"
SHELL, LOCAL, PATCH = ({"type": kind} for kind in ("shell", "local_shell", "apply_patch"))
USER = {"role": "user", "content": "x"}


def given(tool: dict[str, Any], name: str, **arguments: Any) -> dict[str, Any]:
    """Return the item of a call. It is the same unary and streamed."""
    calls = Calls({"model": F3, "input": "x", "tools": [tool]}, call(name, **arguments))
    (item,) = calls.items
    assert calls.unary == [item]
    assert calls.item_events[-1]["item"] == item
    return item


def told(*items: dict[str, Any], tools: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the call and the response that Gemini is told of a call and its output."""
    contents = gemini_body({"model": F3, "input": [USER, *items], "tools": tools})["contents"]
    (called,), (answered,) = contents[1]["parts"], contents[2]["parts"]
    return called["functionCall"], answered["functionResponse"]


@pytest.mark.row("G20")
def test_g20_a_shell_call_and_its_output() -> None:
    item = given(SHELL, "shell", commands=["ls", "pwd"], timeout_ms=1000.0, max_output_length=50)
    output = [{"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}},
              {"stdout": "", "stderr": "slow", "outcome": {"type": "timeout"}}]  # fmt: skip
    result = {
        "type": "shell_call_output",
        "call_id": item["call_id"],
        "output": output,
        "max_output_length": 50,
    }
    called, answered = told(item, result, tools=[SHELL])

    assert item == {
        "id": item["id"], "type": "shell_call", "call_id": item["call_id"],
        "action": {"commands": ["ls", "pwd"], "timeout_ms": 1000, "max_output_length": 50},
        "environment": {"type": "local"}, "status": "completed",
    }  # fmt: skip
    assert called["args"] == {"commands": ["ls", "pwd"], "timeout_ms": 1000, "max_output_length": 50}
    assert (called["name"], called["id"]) == ("shell", item["call_id"])
    assert (answered["name"], answered["id"]) == ("shell", item["call_id"])
    assert answered["response"] == {"output": output}


@pytest.mark.row("G20")
def test_g20_the_commands_of_a_shell_call_are_streamed() -> None:
    calls = Calls({"model": F3, "input": "x", "tools": [SHELL]}, call("shell", commands=["ls", "pwd"]))
    kinds = [event["type"].removeprefix("response.") for event in calls.item_events]

    steps = ["shell_call_command.added", "shell_call_command.delta", "shell_call_command.done"]
    assert kinds == ["output_item.added", *steps, *steps, "output_item.done"]
    assert calls.item_events[0]["item"]["action"]["commands"] == []
    assert [event["command_index"] for event in calls.item_events[1:-1]] == [0, 0, 0, 1, 1, 1]
    assert [event["command"] for event in calls.item_events if event["type"].endswith("command.done")] == [
        "ls",
        "pwd",
    ]


@pytest.mark.row("G20")
def test_g20_a_local_shell_call_and_its_output_by_either_id() -> None:
    item = given(LOCAL, "local_shell", command=["bash", "-lc", "ls"], working_directory="/w", env={"A": "1"})

    assert item == {
        "id": item["id"], "type": "local_shell_call", "call_id": item["call_id"], "status": "completed",
        "action": {"type": "exec", "command": ["bash", "-lc", "ls"], "env": {"A": "1"}, "working_directory": "/w"},
    }  # fmt: skip
    for field, value in (("call_id", item["call_id"]), ("id", item["call_id"]), ("id", item["id"])):
        result = {"type": "local_shell_call_output", field: value, "output": '{"output":"a","metadata":{}}'}
        called, answered = told(item, result, tools=[LOCAL])
        assert called["args"] == {
            "command": ["bash", "-lc", "ls"],
            "env": {"A": "1"},
            "working_directory": "/w",
        }
        assert answered["id"] == item["call_id"]
        assert answered["response"] == {"output": "a", "metadata": {}}


@pytest.mark.row("G20")
@pytest.mark.parametrize("kind", ["create_file", "update_file"])
def test_g20_a_patch_keeps_its_diff_byte_for_byte(kind: str) -> None:
    item = given(PATCH, "apply_patch", type=kind, path="a/é.py", diff=DIFF)
    result = {
        "type": "apply_patch_call_output",
        "call_id": item["call_id"],
        "status": "completed",
        "output": "Done",
    }
    called, answered = told(item, result, tools=[PATCH])

    assert item["operation"] == {"type": kind, "path": "a/é.py", "diff": DIFF}
    assert called["args"] == {"type": kind, "path": "a/é.py", "diff": DIFF}
    assert answered["response"] == {"status": "completed", "output": "Done"}


@pytest.mark.row("G20")
def test_g20_a_patch_is_streamed_and_a_failed_one_is_an_error() -> None:
    calls = Calls(
        {"model": F3, "input": "x", "tools": [PATCH]},
        call("apply_patch", type="update_file", path="a", diff=DIFF),
    )
    added, delta, done, _ = calls.item_events
    assert added["item"]["operation"] == {"type": "update_file", "path": "a", "diff": ""}
    assert (delta["delta"], done["diff"], delta["item_id"]) == (DIFF, DIFF, added["item"]["id"])

    for output, text in (("No such file", "No such file"), (None, "The patch was not applied.")):
        result = {"type": "apply_patch_call_output", "call_id": calls.items[0]["call_id"], "status": "failed",
                  "output": output}  # fmt: skip
        assert told(calls.items[0], result, tools=[PATCH])[1]["response"] == {"error": text}


@pytest.mark.row("G20")
def test_g20_a_deletion_has_no_diff() -> None:
    item = given(PATCH, "apply_patch", type="delete_file", path="a", diff="")

    assert item["operation"] == {"type": "delete_file", "path": "a"}


@pytest.mark.row("G20")
@pytest.mark.parametrize(
    ("tool", "arguments", "field", "expected"),
    [
        (SHELL, {"command": "ls"}, "action", {"commands": ["ls"], "timeout_ms": None, "max_output_length": None}),
        (SHELL, {"commands": "ls", "timeout_ms": "soon"}, "action",
         {"commands": ["ls"], "timeout_ms": None, "max_output_length": None}),
        (SHELL, {"commands": [1, True], "timeout_ms": True}, "action",
         {"commands": ["1", "true"], "timeout_ms": None, "max_output_length": None}),
        (LOCAL, {"command": "ls | wc"}, "action", {"type": "exec", "command": ["bash", "-lc", "ls | wc"], "env": {}}),
        (PATCH, {"path": "a"}, "operation", {"type": "update_file", "path": "a", "diff": ""}),
        (PATCH, {"type": "move", "path": 5, "diff": None}, "operation",
         {"type": "update_file", "path": "5", "diff": ""}),
    ],
)  # fmt: skip
def test_g20_arguments_of_another_shape_still_become_the_item(
    tool: dict[str, Any], arguments: dict[str, Any], field: str, expected: object
) -> None:
    assert given(tool, tool["type"], **arguments)[field] == expected


@pytest.mark.row("G20")
def test_g20_history_of_tools_that_are_not_declared_is_understood() -> None:
    items = [
        USER,
        {"type": "shell_call", "call_id": "1", "action": {"commands": ["ls"]}},
        {"type": "local_shell_call", "call_id": "2", "id": "l", "action": {"type": "exec", "command": ["ls"], "env": {}}},
        {"type": "apply_patch_call", "call_id": "3", "operation": {"type": "delete_file", "path": "a"}},
        {"type": "tool_search_call", "call_id": "4", "arguments": "{\"query\": \"x\"}"},
        {"type": "shell_call", "call_id": "5", "action": None},
        {"type": "shell_call_output", "call_id": "1", "output": "plain"},
        {"type": "local_shell_call_output", "id": "l", "output": "plain"},
        {"type": "apply_patch_call_output", "call_id": "3", "status": "completed"},
        {"type": "tool_search_output", "call_id": "4", "tools": None},
        {"type": "shell_call_output", "call_id": "5", "output": []},
    ]  # fmt: skip
    result = translation({"model": F3, "input": items})
    contents = gemini_body({"model": F3, "input": items})["contents"]

    assert result.notes == ["input[1].thought_signature"]
    assert [part["functionCall"]["args"] for part in contents[1]["parts"]] == [
        {"commands": ["ls"]}, {"command": ["ls"]}, {"type": "delete_file", "path": "a"}, {"query": "x"}, {},
    ]  # fmt: skip
    assert [part["functionResponse"]["response"] for part in contents[2]["parts"]] == [
        {"output": "plain"}, {"output": "plain"}, {"status": "completed"}, {"tools": []}, {"output": []},
    ]  # fmt: skip


def test_numbers_in_the_arguments_of_a_search_keep_their_digits() -> None:
    tools = [{"type": "tool_search", "execution": "client"}]
    calls = Calls({"model": F3, "input": "x", "tools": tools}, call("tool_search", limit=10**25, query="ü"))

    assert calls.items[0]["arguments"] == {"limit": 10**25, "query": "ü"}


@pytest.mark.parametrize("kind", [*KNOWN_CALLS, *KNOWN_OUTPUTS, "tool_search_output", "additional_tools"])
def test_no_value_of_a_field_is_our_fault(kind: str) -> None:
    wrong: list[Any] = [
        True,
        5,
        1e400,
        "text",
        [],
        ["x"],
        {},
        {"x": [None]},
        None,
        [None],
        [{"type": "message"}],
    ]
    for field in Item.__struct_fields__:
        for value in wrong:
            item = {"type": kind, "id": "i", "call_id": "c", field: value}
            try:
                translation({"model": F3, "input": [USER, item]})
            except (GatewayError, msgspec.DecodeError):
                continue
