"""Claude Code in its print mode (`claude -p`): the Messages API."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.clients import cli, common

JSON = ("--output-format", "json")
EVENTS = ("--output-format", "stream-json", "--verbose")


def ask(*arguments: str, key: str = common.API_KEY, stdin: str = "", **settings: str) -> cli.Result:
    """Run Claude Code without retries, updates and reports. `settings` are variables of its environment."""
    cli.connect("claude", key)
    environ = {
        **settings,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "IS_SANDBOX": "1",  # it runs as root, too
    }
    return cli.execute("claude", ["-p", *arguments], environ, stdin)


def final(result: cli.Result) -> dict[str, Any]:
    """Return the last event, the run's result. Raises AssertionError if it has none or an error."""
    events = [event for event in cli.json_lines(result.stdout) if event.get("type") == "result"]
    assert events, cli.output_end(result)
    assert not events[-1]["is_error"], cli.output_end(result)
    return events[-1]


def chat_stream() -> str:
    event = final(ask(*JSON, common.CHAT_PROMPT))
    assert event["usage"]["output_tokens"], event["usage"]
    return common.excerpt(event["result"])


def tools() -> str:
    prompt = f"Use the tool Bash to run: echo {common.TOOL_RESULT}. Then report its output."
    result = ask("--allowedTools", "Bash", *EVENTS, prompt)
    blocks = tool_results(result)
    assert blocks, f"no tool ran: {cli.output_end(result)}"
    assert not blocks[0].get("is_error"), blocks[0]
    assert final(result)["result"], "no text after the tool's result"
    return f"the tool's result: {str(blocks[0]['content'])[:40]!r}"


def tool_results(result: cli.Result) -> list[dict[str, Any]]:
    """Return the blocks with which Claude Code answered the model's calls."""
    return [
        block
        for event in cli.json_lines(result.stdout)
        if event.get("type") == "user"
        for block in event["message"]["content"]
        if isinstance(block, dict) and block.get("type") == "tool_result"
    ]


def calls(result: cli.Result) -> list[str]:
    """Return the names of the tools that the model called, those of subagents included."""
    return [
        block["name"]
        for event in cli.json_lines(result.stdout)
        if event.get("type") == "assistant"
        for block in event["message"]["content"]
        if block["type"] == "tool_use"
    ]


def with_tracker(prompt: str, *allowed: str, **settings: str) -> cli.Result:
    """Run Claude Code with the MCP server."""
    server = {"command": sys.executable, "args": [str(Path(__file__).with_name("mcp_server.py"))]}
    config = ("--mcp-config", json.dumps({"mcpServers": {"tracker": server}}), "--strict-mcp-config")
    return ask(*config, "--allowedTools", ",".join(allowed), *EVENTS, "--", prompt, **settings)


def mcp() -> str:
    """Call a tool of an MCP server."""
    name = "mcp__tracker__lookup_ticket"
    result = with_tracker(f"Use the tool {name} for ticket 7.", name)
    assert "TICKET-42" in result.stdout, f"no call of the MCP server: {cli.output_end(result)}"
    return common.excerpt(final(result)["result"])


def tool_search() -> str:
    """Defer the tools of an MCP server: the model finds one by ToolSearch, and then calls it."""
    name = "mcp__tracker__lookup_ticket"
    result = with_tracker(
        "Find the tool for tickets, and look up ticket 7.", name, "ToolSearch", ENABLE_TOOL_SEARCH="true"
    )
    assert calls(result) == ["ToolSearch", name], calls(result)
    assert "TICKET-42" in str(tool_results(result)[-1]["content"]), cli.output_end(result)
    assert final(result)["result"], "no text after the tool's result"
    return f"ToolSearch found {name}"


def parallel() -> str:
    """Run two commands that the model asks for at once."""
    result = ask("--allowedTools", "Bash", *EVENTS, "Run both commands.")
    contents = [str(block["content"]) for block in tool_results(result)]
    assert sorted(contents) == ["ONE-1", "TWO-2"], contents
    return common.excerpt(final(result)["result"])


def read_and_edit() -> str:
    """Read a file, and change a word of it."""
    file = cli.WORK / "notes.txt"
    file.write_text("helo world\n")
    result = ask("--allowedTools", "Read,Edit", *EVENTS, "Mend the word in notes.txt.")
    assert file.read_text() == "hello world\n", cli.output_end(result)
    assert calls(result) == ["Read", "Edit"], calls(result)
    return common.excerpt(final(result)["result"])


def subagent() -> str:
    """Let a subagent answer: its requests go out beside those of its session."""
    result = ask("--allowedTools", "Agent", *EVENTS, "Delegate the greeting.")
    assert "Agent" in calls(result), cli.output_end(result)
    assert any("PONG" in str(block["content"]) for block in tool_results(result)), cli.output_end(result)
    return common.excerpt(final(result)["result"])


def resume() -> str:
    """Go on with a session by its id, and with the last one."""
    session = final(ask(*JSON, "Remember the number 4711."))["session_id"]
    by_id = final(ask(*JSON, "--resume", session, common.CHAT_PROMPT))
    last = final(ask(*JSON, "--continue", common.CHAT_PROMPT))
    assert by_id["session_id"] == last["session_id"] == session, (by_id["session_id"], last["session_id"])
    return common.excerpt(last["result"])


def web_search() -> str:
    """Ask for a search: Claude Code makes it with a request of its own, whose blocks it reads."""
    prompt = "Use the tool WebSearch to search the web for the weather. Then report its output."
    result = ask("--allowedTools", "WebSearch", *EVENTS, prompt)
    results = [
        event["tool_use_result"]
        for event in cli.json_lines(result.stdout)
        if event.get("type") == "user" and isinstance(event.get("tool_use_result"), dict)
    ]
    assert results, f"no search ran: {cli.output_end(result)}"
    links = [link for found in results[0]["results"] if isinstance(found, dict) for link in found["content"]]
    assert links, f"no sources: {results[0]}"
    assert final(result)["result"], "no text after the search"
    return f"{len(links)} sources: {links[0]['url']}"


def compaction() -> str:
    """Overflow the context, which Claude Code must recognize; compact another history, and go on with it."""
    common.watch().errors_expected = True
    overflow = ask(*JSON, "[[too long]]")
    assert "1200000 tokens (limit 1048576)" in overflow.stdout, cli.output_end(overflow)
    final(ask(*JSON, common.CHAT_PROMPT))
    final(ask(*JSON, "--continue", common.CHAT_PROMPT))
    compacted = ask(*EVENTS, "--continue", "/compact")
    assert "Compacted" in compacted.stdout, cli.output_end(compacted)
    return common.excerpt(final(ask(*JSON, "--continue", common.CHAT_PROMPT))["result"])


def overflow() -> str:
    """Fill the context of a small model until it overflows: Claude Code compacts its history by itself, and goes on."""
    common.watch().errors_expected = True
    model = os.environ["SMALL_MODEL"].partition("=")[0]
    triggers: list[str] = []
    turn = 0
    while not triggers:
        turn += 1
        assert turn < 9, "the context has not overflowed"
        again = ("--continue",) if turn > 1 else ()
        result = ask(*EVENTS, "--model", model, *again, f"Note {turn}: {'word ' * 1800}")
        final(result)
        triggers = [
            event["compact_metadata"]["trigger"]
            for event in cli.json_lines(result.stdout)
            if event.get("subtype") == "compact_boundary"
        ]
    assert triggers == ["auto"], triggers
    failures = [line["error"] for line in common.watch().requests() if line["status"] != 200]
    assert failures == ["context_length_exceeded"], failures
    return f"compacted in turn {turn}"


def structured() -> str:
    result = ask(*JSON, "--json-schema", json.dumps(common.PERSON_SCHEMA), common.SCHEMA_PROMPT)
    return cli.person(final(result).get("structured_output"))


def image() -> str:
    source = {"type": "base64", "media_type": "image/png", "data": common.PNG_B64}
    content = [{"type": "text", "text": common.IMAGE_PROMPT}, {"type": "image", "source": source}]
    message = {
        "type": "user",
        "session_id": "",
        "parent_tool_use_id": None,
        "message": {"role": "user", "content": content},
    }
    result = ask("--input-format", "stream-json", *EVENTS, stdin=json.dumps(message) + "\n")
    return common.excerpt(final(result)["result"])


def badkey() -> str:
    return cli.expect_401(ask("x", key=common.BAD_KEY))


if __name__ == "__main__":
    cli.run(
        "claude-code",
        {
            "chat_stream": chat_stream,
            "tools": tools,
            "mcp": mcp,
            "tool_search": tool_search,
            "parallel": parallel,
            "read_and_edit": read_and_edit,
            "subagent": subagent,
            "resume": resume,
            "web_search": web_search,
            "compaction": compaction,
            "overflow": overflow,
            "structured": structured,
            "image": image,
            "badkey": badkey,
        },
    )
