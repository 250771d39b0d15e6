"""Qwen Code: chat completions, streamed, with its own tools; several turns of one session."""

import json

from tests.clients import cli, common

SETTINGS = {
    "privacy": {"usageStatisticsEnabled": False},
    "general": {"enableAutoUpdate": False},
    "tools": {"useRipgrep": False},  # npm installs the ripgrep of the package without the right to run it
}


def ask(prompt: str, *options: str, key: str = common.API_KEY) -> cli.Result:
    """Run Qwen Code with one message."""
    settings = cli.HOME / ".qwen" / "settings.json"
    if not settings.exists():
        settings.parent.mkdir()
        settings.write_text(json.dumps(SETTINGS))
    environ = cli.connect("qwen", key)
    return cli.execute("qwen", [*options, "-p", prompt], environ)


def chat_stream() -> str:
    result = ask(common.CHAT_PROMPT)
    assert result.returncode == 0, cli.output_end(result)
    return common.excerpt(result.stdout.strip())


def turns() -> str:
    """Read a file, write another one, and run a command, in turns of one session."""
    source, copy = cli.WORK / "source.txt", cli.WORK / "copy.txt"
    source.write_text(common.TOOL_RESULT)
    first = ask(f"Use the tool read_file on the file {source}.", "-y")
    assert common.TOOL_RESULT in first.stdout, cli.output_end(first)
    second = ask(f"Use the tool write_file on the file {copy}.", "-y", "--continue")
    assert copy.exists(), f"nothing written: {cli.output_end(second)}"
    third = ask(
        f"Use the tool run_shell_command to run: cat {source}. Then report its output.", "-y", "--continue"
    )
    assert common.TOOL_RESULT in third.stdout, cli.output_end(third)
    return "three turns"


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
        {
            "chat_stream": chat_stream,
            "tools": tools,
            "turns": turns,
            "structured": None,
            "image": None,
            "badkey": badkey,
        },
    )
