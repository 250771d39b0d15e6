"""opencode: chat completions through the AI SDK, streamed, with its own tools."""

from typing import Any

from tests.clients import cli, common

ENVIRON = {
    "OPENCODE_DISABLE_AUTOUPDATE": "true",
    "OPENCODE_DISABLE_MODELS_FETCH": "true",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "true",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS": "true",
    "OPENCODE_PERMISSION": '{"*": "allow"}',
}


def ask(prompt: str, key: str = common.API_KEY) -> cli.Result:
    """Run opencode with one message; it prints its events as JSON lines."""
    return cli.execute(
        "opencode", ["run", "--format", "json", prompt], {**cli.connect("opencode", key), **ENVIRON}
    )


def parts(result: cli.Result, kind: str) -> list[dict[str, Any]]:
    """Return the parts of one type."""
    return [event["part"] for event in cli.json_lines(result.stdout) if event.get("type") == kind]


def chat_stream() -> str:
    result = ask(common.CHAT_PROMPT)
    texts = parts(result, "text")
    assert texts, cli.output_end(result)
    return common.excerpt(texts[-1]["text"])


def tools() -> str:
    result = ask(f"Use the tool bash to run: echo {common.TOOL_RESULT}. Then report its output.")
    used = parts(result, "tool_use")
    assert used, f"no tool ran: {cli.output_end(result)}"
    assert used[0]["state"]["status"] == "completed", used[0]
    assert parts(result, "text"), "no text after the tool's result"
    return f"the tool {used[0]['tool']} ran"


def badkey() -> str:
    return cli.expect_401(ask("x", key=common.BAD_KEY))


if __name__ == "__main__":
    cli.run(
        "opencode",
        {"chat_stream": chat_stream, "tools": tools, "structured": None, "image": None, "badkey": badkey},
    )
