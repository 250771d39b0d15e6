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


@pytest.mark.parametrize(
    ("client", "name", "text", "is_rival"),
    [
        ("claude", ".claude/settings.json", '{"env": {"CLAUDE_CODE_USE_VERTEX": "1"}}', True),
        ("claude", ".claude/settings.local.json", '{"env": {"ANTHROPIC_BASE_URL": "http://x"}}', True),
        ("claude", ".claude/settings.json", '{"permissions": {}}', False),
        ("gemini-cli", ".env", "DATABASE_URL=x\n", True),  # the first file that it finds is the only one
        ("gemini-cli", ".gemini/settings.json", '{"ui": {}}', False),
        ("qwen", ".qwen/.env", "OPENAI_MODEL=x\n", True),
        ("qwen", ".env", "DATABASE_URL=x\n", False),  # it reads all that it finds
        ("codex", ".codex/config.toml", 'model_provider = "x"\n', True),
        ("codex", ".codex/config.toml", "[mcp_servers.x]\n", False),
        ("aider", ".aider.conf.yml", "dark-mode: true\nmodel: x\n", True),
        ("opencode", "../.config/opencode/opencode.jsonc", '{"model": "x",}', True),
        ("opencode", "opencode.jsonc", '{"model": "x" /* mine */}', True),
    ],
)
def test_a_file_of_the_project_that_counts_more_is_named(
    client: str, name: str, text: str, is_rival: bool, tmp_path: Path
) -> None:
    (tmp_path / "project").mkdir()
    path = tmp_path / "project" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    lines = list(hints.project_files(CLIENTS[client], Home(tmp_path, {}), tmp_path / "project"))

    assert [str(path.resolve()) in line for line in lines] == [True] * is_rival


def test_the_settings_themselves_are_no_file_of_a_project(tmp_path: Path) -> None:
    path = tmp_path / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"env": {"ANTHROPIC_BASE_URL": "http://x"}}')

    assert list(hints.project_files(CLIENTS["claude"], Home(tmp_path, {}), tmp_path)) == []
