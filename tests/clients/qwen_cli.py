"""Qwen Code: chat completions, streamed, with its own tools."""

import json

from tests.clients import cli, common

SETTINGS = {
    "security": {"auth": {"selectedType": "openai"}},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {"enableAutoUpdate": False},
}


def ask(prompt: str, *options: str, key: str = common.API_KEY) -> cli.Result:
    """Run Qwen Code with one message."""
    environ = cli.connect("qwen", key)
    (cli.HOME / ".qwen" / "settings.json").write_text(json.dumps(SETTINGS))
    return cli.execute("qwen", [*options, "-p", prompt], environ)


def chat_stream() -> str:
    result = ask(common.CHAT_PROMPT)
    assert result.returncode == 0, cli.output_end(result)
    return common.excerpt(result.stdout.strip())


def tools() -> str:
    path = cli.WORK / "qwen.txt"
    result = ask(f"Use the tool run_shell_command to run: echo {common.TOOL_RESULT} > {path}", "-y")
    assert result.returncode == 0, cli.output_end(result)
    assert path.exists(), f"no command ran: {cli.output_end(result)}"
    return "the command ran"


def badkey() -> str:
    return cli.expect_401(ask("x", key=common.BAD_KEY))


if __name__ == "__main__":
    cli.run(
        "qwen",
        {"chat_stream": chat_stream, "tools": tools, "structured": None, "image": None, "badkey": badkey},
    )
