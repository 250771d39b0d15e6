"""Gemini CLI: the native Gemini surface, streamed."""

import json
from typing import Any

from tests.clients import cli, common

SETTINGS = {
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"enableAutoUpdate": False},
    "tools": {"useRipgrep": False},  # with it the program tells of a fallback where it is not installed
}


def ask(prompt: str, *options: str, key: str = common.API_KEY) -> cli.Result:
    """Run Gemini CLI with one message; it prints its result as one JSON object."""
    settings = cli.HOME / ".gemini" / "settings.json"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(json.dumps(SETTINGS))
    cli.connect("gemini-cli", key)
    environ = {"GEMINI_CLI_TRUST_WORKSPACE": "true"}
    return cli.execute("gemini", ["-m", common.MODEL, "-o", "json", *options, "-p", prompt], environ)


def output(result: cli.Result) -> dict[str, Any]:
    """Return the JSON object that ends the output. Raises AssertionError if there is none."""
    assert "{" in result.stdout, cli.output_end(result)
    value: dict[str, Any] = json.loads(result.stdout[result.stdout.index("{") :])
    return value


def chat_stream() -> str:
    return common.excerpt(output(ask(common.CHAT_PROMPT)).get("response"))


def tools() -> str:
    prompt = f"Use the tool run_shell_command to run: echo {common.TOOL_RESULT}. Then report its output."
    value = output(ask(prompt, "-y"))
    calls = value["stats"]["tools"]
    assert calls["totalSuccess"] >= 1, calls
    assert value["response"], "no text after the tool's result"
    return f"{calls['totalCalls']} tool call"


def image() -> str:
    return common.excerpt(output(ask(f"{common.IMAGE_PROMPT} @{cli.IMAGE.name}")).get("response"))


def badkey() -> str:
    """Google's own answer to a key that does not exist is a 400, and this surface answers as Google does."""
    common.watch().errors_expected = True
    result = ask("x", key=common.BAD_KEY)
    message = "API key not valid. Please pass a valid API key."
    assert message in result.stdout + result.stderr, cli.output_end(result)
    assert result.returncode, "exit code 0"
    return f"exit code {result.returncode}, the message is shown"


if __name__ == "__main__":
    cli.run(
        "gemini-cli",
        {
            "chat_stream": chat_stream,
            "tools": tools,
            "structured": None,
            "image": image,
            "badkey": badkey,
        },
    )
