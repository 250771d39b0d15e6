"""GitHub Copilot CLI with a provider of its user's: chat completions, streamed, with its own tools."""

from tests.clients import cli, common

OPTIONS = (
    "--no-auto-update",
    "--no-color",
    "--log-level",
    "none",
    "--disable-builtin-mcps",
    "--stream",
    "off",
)


def ask(prompt: str, *options: str, key: str = common.API_KEY) -> cli.Result:
    """Run Copilot with one message."""
    environ = {**cli.connect("copilot", key), "COPILOT_OFFLINE": "true", "COPILOT_AUTO_UPDATE": "false"}
    return cli.execute("copilot", ["-p", prompt, "-s", *OPTIONS, *options], environ)


def chat_stream() -> str:
    result = ask(common.CHAT_PROMPT)
    assert result.returncode == 0, cli.output_end(result)
    return common.excerpt(result.stdout.strip())


def tools() -> str:
    path = cli.WORK / "copilot.txt"
    result = ask(f"Use the tool bash to run: echo {common.TOOL_RESULT} > {path}", "--allow-all-tools")
    assert result.returncode == 0, cli.output_end(result)
    assert path.exists(), f"no command ran: {cli.output_end(result)}"
    assert common.TOOL_RESULT in path.read_text()
    return "the command ran"


def badkey() -> str:
    return cli.expect_401(ask("x", key=common.BAD_KEY))


if __name__ == "__main__":
    cli.run(
        "copilot",
        {"chat_stream": chat_stream, "tools": tools, "structured": None, "image": None, "badkey": badkey},
    )
