"""Claude Code in its print mode (`claude -p`): the Messages API."""

import json
import sys
from pathlib import Path
from typing import Any

from tests.clients import cli, common

JSON = ("--output-format", "json")
EVENTS = ("--output-format", "stream-json", "--verbose")


def ask(*arguments: str, key: str = common.API_KEY, stdin: str = "") -> cli.Result:
    """Run Claude Code without retries, updates and reports."""
    cli.connect("claude", key)
    environ = {
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
    blocks = [
        block
        for event in cli.json_lines(result.stdout)
        if event.get("type") == "user"
        for block in event["message"]["content"]
        if isinstance(block, dict) and block.get("type") == "tool_result"
    ]
    assert blocks, f"no tool ran: {cli.output_end(result)}"
    assert not blocks[0].get("is_error"), blocks[0]
    assert final(result)["result"], "no text after the tool's result"
    return f"the tool's result: {str(blocks[0]['content'])[:40]!r}"


def mcp() -> str:
    """Call a tool of an MCP server."""
    server = {"command": sys.executable, "args": [str(Path(__file__).with_name("mcp_server.py"))]}
    config, name = json.dumps({"mcpServers": {"tracker": server}}), "mcp__tracker__lookup_ticket"
    prompt = f"Use the tool {name} for ticket 7."
    result = ask("--mcp-config", config, "--strict-mcp-config", "--allowedTools", name, *EVENTS, "--", prompt)
    assert "TICKET-42" in result.stdout, f"no call of the MCP server: {cli.output_end(result)}"
    return common.excerpt(final(result)["result"])


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
    overflow = ask(*JSON, "[[too long]]")
    assert "1200000 tokens (limit 1048576)" in overflow.stdout, cli.output_end(overflow)
    final(ask(*JSON, common.CHAT_PROMPT))
    final(ask(*JSON, "--continue", common.CHAT_PROMPT))
    compacted = ask(*EVENTS, "--continue", "/compact")
    assert "Compacted" in compacted.stdout, cli.output_end(compacted)
    return common.excerpt(final(ask(*JSON, "--continue", common.CHAT_PROMPT))["result"])


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
            "web_search": web_search,
            "compaction": compaction,
            "structured": structured,
            "image": image,
            "badkey": badkey,
        },
    )
