"""Codex CLI in its exec mode: the Responses API, streamed or over a WebSocket, with its own tools and `store: false`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.clients import cli, common

OPTIONS = (
    "check_for_update_on_startup=false",
    "analytics.enabled=false",
    "features.plugins=false",
    "features.apps=false",
    "model_providers.gateway.request_max_retries=0",
    "model_providers.gateway.stream_max_retries=0",
)

NO_SEARCH = ("-c", 'web_search="disabled"')
"""The emulator would search in place of its other answers."""


def ask(prompt: str, *options: str, key: str = common.API_KEY, resume: bool = False) -> cli.Result:
    """Run Codex with one message; it prints its events as JSON lines. `resume` goes on with the last session.

    The message comes by standard input: an argument has at most 128 KiB (execve(2)).
    """
    environ = cli.connect("codex", key)
    settings = [word for option in OPTIONS for word in ("-c", option)]
    arguments = ["exec", "--skip-git-repo-check", "--json", *settings, *options]
    return cli.execute("codex", [*arguments, *(("resume", "--last") if resume else ()), "-"], environ, prompt)


def expect_no_trouble(result: cli.Result) -> None:
    """Raise AssertionError if Codex reports a retry, a fallback or an error."""
    text = result.stdout + result.stderr
    signs = [sign for sign in ("Reconnecting", "Falling back", " ERROR ") if sign in text]
    assert not signs, f"{signs}: {cli.output_end(result)}"


def items(result: cli.Result, kind: str) -> list[dict[str, Any]]:
    """Return the completed items of one type."""
    events = cli.json_lines(result.stdout)
    completed = [event["item"] for event in events if event.get("type") == "item.completed"]
    return [item for item in completed if item.get("type") == kind]


def answer(result: cli.Result) -> str:
    """Return the text of the last message. Raises AssertionError if there is none."""
    messages = items(result, "agent_message")
    assert messages, f"no message: {cli.output_end(result)}"
    text: str = messages[-1]["text"]
    return text


def chat_stream() -> str:
    result = ask(common.CHAT_PROMPT)
    turns = [event for event in cli.json_lines(result.stdout) if event.get("type") == "turn.completed"]
    assert any(turn["usage"]["input_tokens"] for turn in turns), f"no usage: {cli.output_end(result)}"
    return common.excerpt(answer(result))


def tools() -> str:
    prompt = f"Use the tool exec_command to run: echo {common.TOOL_RESULT}. Then report its output."
    result = ask(prompt)
    commands = items(result, "command_execution")
    assert commands, f"no command ran: {cli.output_end(result)}"
    assert commands[0]["exit_code"] == 0, commands[0]
    assert answer(result), "no text after the tool's result"
    return f"ran {commands[0]['command'][-40:]}"


def mcp() -> str:
    """Call a tool of an MCP server, which Codex declares in a namespace."""
    server = Path(__file__).with_name("mcp_server.py")
    command = (f"mcp_servers.tracker.command={json.dumps(sys.executable)}",
               f"mcp_servers.tracker.args=[{json.dumps(str(server))}]")  # fmt: skip
    options = [word for option in command for word in ("-c", option)]
    bypass = "--dangerously-bypass-approvals-and-sandbox"  # nobody is there to approve the call
    result = ask("Use the tool mcp__tracker__lookup_ticket for ticket 7.", bypass, *options)
    calls = items(result, "mcp_tool_call")
    assert calls, f"no call: {cli.output_end(result)}"
    assert (calls[0]["server"], calls[0]["tool"], calls[0]["status"]) == (
        "tracker",
        "lookup_ticket",
        "completed",
    )
    assert "unsupported call" not in result.stdout
    return common.excerpt(answer(result))


def websocket() -> str:
    """Let Codex use a WebSocket: all requests of a turn with a tool's call, and of the turn after it, go over it."""
    option = ("-c", "model_providers.gateway.supports_websockets=true")
    prompt = f"Use the tool exec_command to run: echo {common.TOOL_RESULT}. Then report its output."
    result = ask(prompt, *option)
    expect_no_trouble(result)
    assert items(result, "command_execution"), f"no command ran: {cli.output_end(result)}"
    again = ask(common.CHAT_PROMPT, *option, resume=True)
    expect_no_trouble(again)
    lines = common.watch().requests()
    requests, paths = len(lines), {line["path"] for line in lines}
    assert paths <= {"/v1/responses (websocket)"}, paths
    return f"{requests} requests; {common.excerpt(answer(again))}"


def multi_agent() -> str:
    """Let a second agent answer: Codex declares the tools for it in a namespace, and passes its answer on as an item."""
    features = ("-c", "features.multi_agent=true", "-c", "features.multi_agent_v2=true", *NO_SEARCH)
    result = ask("Ask another agent to greet.", *features)
    expect_no_trouble(result)
    tools = [(call["tool"], call["status"]) for call in items(result, "collab_tool_call")]
    assert ("wait", "completed") in tools, cli.output_end(result)
    assert "PONG" in answer(result), cli.output_end(result)
    lines = common.watch().requests()
    assert len(lines) in (0, 4), lines
    return common.excerpt(answer(result))


def compaction() -> str:
    """Exceed the limit for compaction: Codex asks for a summary by itself, and goes on with it."""
    text = "word " * 3000
    options = ("-c", "model_auto_compact_token_limit=12000", *NO_SEARCH)
    expect_no_trouble(ask(f"First {text}", *options))
    result = ask(f"Second {text}", *options, resume=True)
    expect_no_trouble(result)
    sessions = (cli.HOME / ".codex" / "sessions").rglob("*.jsonl")
    assert any('"type":"compacted"' in file.read_text() for file in sessions), (
        "no compaction in the session's file"
    )
    return common.excerpt(answer(result))


def overflow() -> str:
    """Overflow the context of a small model: Codex must recognise it, and send nothing again."""
    common.watch().errors_expected = True
    text = "word " * 30_000
    result = ask(text, "-m", os.environ["SMALL_MODEL"].partition("=")[0], *NO_SEARCH)
    assert "ran out of room in the model's context window" in result.stdout, cli.output_end(result)
    failures = [line["error"] for line in common.watch().requests()]
    assert failures in ([], ["context_length_exceeded"]), failures
    return "recognised, without a second attempt"


def structured() -> str:
    schema = cli.FOLDER / "schema.json"
    schema.write_text(json.dumps(common.PERSON_SCHEMA))
    return cli.person(json.loads(answer(ask(common.SCHEMA_PROMPT, "--output-schema", str(schema)))))


def image() -> str:
    return common.excerpt(answer(ask(common.IMAGE_PROMPT, "-i", str(cli.IMAGE))))


def badkey() -> str:
    return cli.expect_401(ask("x", key=common.BAD_KEY))


if __name__ == "__main__":
    cli.run(
        "codex",
        {
            "chat_stream": chat_stream,
            "tools": tools,
            "mcp": mcp,
            "websocket": websocket,
            "multi_agent": multi_agent,
            "compaction": compaction,
            "overflow": overflow,
            "structured": structured,
            "image": image,
            "badkey": badkey,
        },
    )
