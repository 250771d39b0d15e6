"""llm (https://llm.datasette.io) with a model of extra-openai-models.yaml: chat completions."""

import json

from tests.clients import cli, common

MODELS = f"""
- model_id: gateway
  model_name: {common.MODEL}
  api_base: {common.BASE_URL}
  api_key_name: gateway
  can_stream: true
  supports_tools: true
  supports_schema: true
  vision: true
"""
FUNCTION = f'''
def get_weather(city: str) -> str:
    """Weather for a city"""
    return "{common.TOOL_RESULT}"
'''


def ask(*arguments: str, key: str = common.API_KEY) -> cli.Result:
    """Run llm on the gateway's model."""
    settings = cli.HOME / "llm" / "extra-openai-models.yaml"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(MODELS)
    environ = {"LLM_USER_PATH": str(settings.parent)}
    return cli.execute("llm", ["--key", key, "-m", "gateway", *arguments], environ)


def answer(result: cli.Result) -> str:
    """Return the answer. Raises AssertionError if the program failed or printed nothing."""
    assert result.returncode == 0, cli.output_end(result)
    assert result.stdout.strip(), cli.output_end(result)
    return result.stdout.strip()


def chat() -> str:
    return common.excerpt(
        answer(ask("--no-stream", "-s", "Be terse.", "-o", "temperature", "0", common.CHAT_PROMPT))
    )


def stream() -> str:
    return common.excerpt(answer(ask(common.CHAT_PROMPT)))


def tools() -> str:
    result = ask("--functions", FUNCTION, "--tools-debug", "--chain-limit", "3", common.TOOL_PROMPT)
    text = answer(result)
    assert "get_weather(" in result.stderr, f"the tool was not called: {cli.output_end(result)}"
    return common.tool_note(text)


def structured() -> str:
    return cli.person(json.loads(answer(ask("--schema", "name, age int", common.SCHEMA_PROMPT))))


def image() -> str:
    return common.excerpt(answer(ask("-a", str(cli.IMAGE), common.IMAGE_PROMPT)))


def badkey() -> str:
    result = ask("x", key=common.BAD_KEY)
    assert result.returncode, "exit code 0"
    return cli.expect_401(result)


if __name__ == "__main__":
    cli.run(
        "llm",
        {
            "chat": chat,
            "stream": stream,
            "tools": tools,
            "structured": structured,
            "image": image,
            "badkey": badkey,
        },
    )
