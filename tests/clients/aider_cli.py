"""aider (on litellm and openai): chat completions, streamed and not. It uses no tools by design."""

from tests.clients import cli, common

OPTIONS = (
    "--no-analytics",
    "--analytics-disable",
    "--no-check-update",
    "--no-show-release-notes",
    "--no-show-model-warnings",
    "--yes-always",
    "--no-git",
    "--no-pretty",
    "--map-tokens=0",
)


def ask(prompt: str, *options: str, key: str = common.API_KEY) -> cli.Result:
    """Run aider with one message."""
    cli.connect("aider", key)
    environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # otherwise litellm downloads it
    return cli.execute("aider", [*OPTIONS, *options, "--message", prompt], environ)


def answer(result: cli.Result) -> str:
    """Return the answer, which stands between the repository map's line and the token counts."""
    assert result.returncode == 0, cli.output_end(result)
    assert "Tokens:" in result.stdout, cli.output_end(result)
    text = result.stdout.split("Repo-map: disabled")[-1].split("Tokens:")[0]
    return common.excerpt(text.strip())


def chat() -> str:
    return answer(ask(common.CHAT_PROMPT, "--no-stream"))


def stream() -> str:
    return answer(ask(common.CHAT_PROMPT))


def badkey() -> str:
    return cli.expect_401(ask("x", key=common.BAD_KEY))


if __name__ == "__main__":
    cli.run(
        "aider",
        {
            "chat": chat,
            "stream": stream,
            "tools": None,
            "structured": None,
            "image": None,
            "badkey": badkey,
        },
    )
