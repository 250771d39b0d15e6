"""Lines for people after `gateway connect PROGRAM --write`."""

from pathlib import Path

import pytest

from gateway.cli.connect import hints
from gateway.cli.connect.clients import CLIENTS
from gateway.cli.connect.places import Home
from gateway.cli.connect.settings import Settings

FOLDER = Path("/home/me")
LOCAL = Settings("http://127.0.0.1:9", "AQ.secret-key", "gemini-x")
"""Nothing listens there."""


@pytest.mark.parametrize(
    ("shell", "command"),
    [("bash", ". ~/.bashrc"), ("zsh", ". ~/.zshrc"), ("fish", "source ~/.config/fish/config.fish")],
)
def test_the_command_for_this_shell_is_named(shell: str, command: str) -> None:
    lines = list(hints.after_write(CLIENTS["codex"], LOCAL, Home(FOLDER, {"SHELL": shell})))

    assert lines[0].endswith(f" {command}")
    assert "warning: http://127.0.0.1:9 does not answer: Connection refused" in lines
    assert lines[-2] == "To try it: codex exec 'say hello'"
    assert "emulator" in lines[-1]
    assert LOCAL.key not in "".join(lines)


def test_another_machine_has_no_demo() -> None:
    lines = hints.after_write(
        CLIENTS["aider"], Settings("http://gateway.invalid", "k", "m"), Home(FOLDER, {})
    )

    assert "emulator" not in "".join(lines)


@pytest.mark.parametrize(
    ("client", "name", "value", "is_rival"),
    [
        ("qwen", "OPENAI_API_KEY", "sk-x", True),
        ("qwen", "OPENAI_API_KEY", "AQ.secret-key", False),
        ("qwen", "OPENAI_API_KEY", "", False),
        ("gemini-cli", "GEMINI_API_KEY", "AIza", True),
        ("gemini-cli", "OPENAI_API_KEY", "sk-x", False),
        ("aider", "AIDER_MODEL", "gpt", True),
    ],
)
def test_a_variable_that_counts_more_is_named(client: str, name: str, value: str, is_rival: bool) -> None:
    lines = list(hints.rivals(CLIENTS[client], LOCAL, Home(FOLDER, {name: value})))

    assert [f"unset {name}" in line for line in lines] == [True] * is_rival
