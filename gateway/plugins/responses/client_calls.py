"""Calls of tools that the client runs: items to function calls and results, and function calls to items.

The items are those of openai-python's `types/responses`: `function_call`, `custom_tool_call`, `tool_search_call`,
`shell_call`, `local_shell_call` and `apply_patch_call`. The order of events is OpenAI's
(https://platform.openai.com/docs/api-reference/responses-streaming).
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.gemini.call_names import CallRules
from gateway.gemini.events import ToolCall
from gateway.plugins.responses.client_tools import ClientTool
from gateway.plugins.responses.wire import Item

Object = dict[str, Any]

KNOWN_CALLS = {
    "tool_search_call": "tool_search",
    "shell_call": "shell",
    "local_shell_call": "local_shell",
    "apply_patch_call": "apply_patch",
}
"""Types of calls of the tools that OpenAI's models know, and the type of each tool."""
KNOWN_OUTPUTS = {f"{call}_output": tool for call, tool in KNOWN_CALLS.items() if tool != "tool_search"}


class CallItem(Struct, frozen=True):
    """An output item of a call, and the events between its beginning and its end."""

    prefix: str
    """Of its id."""
    begun: Object
    complete: Object
    """Fields that change at the end."""
    steps: list[tuple[str, Object]] = []
    """Names of events and their fields."""
    with_id: bool = True
    """The events name the item: those of shell commands do not."""


def arguments_text(value: object) -> str:
    """Return the arguments of a call as a JSON text."""
    if isinstance(value, str) or value is None:
        return value or ""
    return msgspec.json.encode(value).decode()


def known_arguments(item: Item) -> str:
    """Return the arguments of a call of one of the `KNOWN_CALLS`, as a JSON text."""
    if item.type == "tool_search_call":
        return arguments_text(item.arguments)
    value = item.operation if item.type == "apply_patch_call" else item.action
    fields = dict(value) if isinstance(value, dict) else {}
    if item.type == "local_shell_call":
        fields.pop("type", None)  # always `exec`
        fields = {name: field for name, field in fields.items() if field or name != "env"}
    return arguments_text({name: field for name, field in fields.items() if field is not None})


def known_output(item: Item) -> tuple[str, bool]:
    """Return the text of an output of one of the `KNOWN_OUTPUTS`, and whether it is a failure."""
    output = item.output
    if item.type != "apply_patch_call_output":
        return arguments_text(output if isinstance(output, str) else msgspec.to_builtins(output)), False
    text = arguments_text(output if isinstance(output, str) else msgspec.to_builtins(output))
    if item.status == "failed":
        return text or "The patch was not applied.", True
    return arguments_text({"status": "completed", **({"output": text} if text else {})}), False


def call_item(event: ToolCall, rules: CallRules) -> CallItem:
    """Return the item of a call in the form of the tool that the client has declared."""
    tool = rules.origins.get(event.name)
    if not isinstance(tool, ClientTool):
        tool = ClientTool("custom" if event.name in rules.custom else "function", event.name)
    match tool.kind:
        case "custom":
            return _named(event, tool, "input", custom_input(event.arguments))
        case "tool_search":
            begun = {"type": "tool_search_call", "call_id": event.id, "execution": "client", "arguments": {}}
            return CallItem("tsc_", begun, {"arguments": Raw(event.arguments.encode())})
        case "shell":
            return _shell(event)
        case "local_shell":
            return _local_shell(event)
        case "apply_patch":
            return _apply_patch(event)
        case _:
            return _named(event, tool, "arguments", event.arguments)


def custom_input(arguments: str) -> str:
    """Return a custom tool's text: the one argument of the function that Gemini called."""
    text = _fields(arguments).get("input")
    return text if isinstance(text, str) else arguments


def _named(event: ToolCall, tool: ClientTool, key: str, value: str) -> CallItem:
    """Return a call of a function or a custom tool. Those in a namespace name it everywhere."""
    custom = tool.kind == "custom"
    names = {"name": tool.name}
    if tool.namespace:
        names["namespace"] = tool.namespace
    kind = "custom_tool_call" if custom else "function_call"
    event_name = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
    in_delta = names if tool.namespace else {}
    in_done = names if tool.namespace or not custom else {}
    return CallItem(
        "ctc_" if custom else "fc_",
        {"type": kind, "call_id": event.id, **names, key: ""},
        {key: value},
        [
            (f"{event_name}.delta", {**in_delta, "delta": value}),
            (f"{event_name}.done", {**in_done, key: value}),
        ],
    )


def _shell(event: ToolCall) -> CallItem:
    fields = _fields(event.arguments)
    commands = _texts(fields.get("commands"), fields.get("command"))
    limits = {name: _integer(fields.get(name)) for name in ("timeout_ms", "max_output_length")}
    steps: list[tuple[str, Object]] = []
    for i, command in enumerate(commands):
        at = {"command_index": i}
        steps += [
            ("response.shell_call_command.added", {**at, "command": ""}),
            ("response.shell_call_command.delta", {**at, "delta": command}),
            ("response.shell_call_command.done", {**at, "command": command}),
        ]
    begun = {
        "type": "shell_call", "call_id": event.id, "action": {"commands": [], **limits},
        "environment": {"type": "local"},
    }  # fmt: skip
    return CallItem("sh_", begun, {"action": {"commands": commands, **limits}}, steps, with_id=False)


def _local_shell(event: ToolCall) -> CallItem:
    fields = _fields(event.arguments)
    command = fields.get("command")
    env = fields.get("env")
    env = env if isinstance(env, dict) else {}
    action: Object = {
        "type": "exec",
        "command": ["bash", "-lc", command] if isinstance(command, str) else _texts(command),
        "env": {name: arguments_text(value) for name, value in env.items()},
    }
    timeout = _integer(fields.get("timeout_ms"))
    if timeout is not None:  # the AI SDK takes no null here
        action["timeout_ms"] = timeout
    action |= {
        name: fields[name] for name in ("user", "working_directory") if isinstance(fields.get(name), str)
    }
    return CallItem("lsh_", {"type": "local_shell_call", "call_id": event.id, "action": action}, {})


def _apply_patch(event: ToolCall) -> CallItem:
    fields = _fields(event.arguments)
    kind, diff = fields.get("type"), arguments_text(fields.get("diff"))
    if kind not in ("create_file", "update_file", "delete_file"):
        kind = "update_file"
    operation = {"type": kind, "path": arguments_text(fields.get("path"))}
    begun = {"type": "apply_patch_call", "call_id": event.id}
    if kind == "delete_file":
        return CallItem("apc_", {**begun, "operation": operation}, {})
    stem = "response.apply_patch_call_operation_diff"
    steps: list[tuple[str, Object]] = [(f"{stem}.delta", {"delta": diff})] if diff else []
    return CallItem(
        "apc_",
        {**begun, "operation": {**operation, "diff": ""}},
        {"operation": {**operation, "diff": diff}},
        [*steps, (f"{stem}.done", {"diff": diff})],
    )


def _fields(arguments: str) -> Object:
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _texts(*values: object) -> list[str]:
    """Return the first value that is there as a list of texts."""
    for value in values:
        if isinstance(value, list):
            return [arguments_text(text) for text in value]
        if value is not None:
            return [arguments_text(value)]
    return []


def _integer(value: object) -> int | None:
    """Return a whole number. Models write some with a decimal point."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
