"""Places of settings files."""

from pathlib import Path

import pytest

from gateway.cli.connect.clients import CLIENTS
from gateway.cli.connect.edits import ByHand
from gateway.cli.connect.places import Home, home, real

FOLDER = Path("/home/me")


@pytest.mark.parametrize(
    ("client", "variable", "value", "path"),
    [
        ("codex", "CODEX_HOME", "/data/codex", "/data/codex/config.toml"),
        ("claude", "CLAUDE_CONFIG_DIR", "/data/claude", "/data/claude/settings.json"),
        ("opencode", "XDG_CONFIG_HOME", "/data/config", "/data/config/opencode/opencode.json"),
        ("llm", "XDG_CONFIG_HOME", "/data/config", "/data/config/io.datasette.llm/extra-openai-models.yaml"),
        ("gemini-cli", "GEMINI_CLI_HOME", "/data", "/data/.gemini/.env"),
        ("qwen", "QWEN_HOME", "/data/qwen", "/data/qwen/.env"),
        ("cline", "CLINE_DIR", "/data/cline", "/data/cline/data/settings/providers.json"),
        ("codex", "CODEX_HOME", "", "/home/me/.codex/config.toml"),
        ("opencode", "XDG_CONFIG_HOME", "relative", "/home/me/.config/opencode/opencode.json"),
        ("codex", "CLAUDE_CONFIG_DIR", "/data/claude", "/home/me/.codex/config.toml"),
    ],
)
def test_a_variable_of_the_program_moves_its_file(client: str, variable: str, value: str, path: str) -> None:
    assert Home(FOLDER, {variable: value}).places(CLIENTS[client].files[0])[0] == Path(path)


def test_of_two_variables_the_first_counts_and_all_places_are_known() -> None:
    (file,) = CLIENTS["llm"].files
    places = Home(FOLDER, {"LLM_USER_PATH": "/llm", "XDG_CONFIG_HOME": "/config"}).places(file)

    assert [str(place.parent) for place in places] == [
        "/llm",
        "/config/io.datasette.llm",
        "/home/me/.config/io.datasette.llm",
    ]


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({"SHELL": "/bin/bash"}, "~/.bashrc"),
        ({"SHELL": "/usr/bin/zsh"}, "~/.zshrc"),
        ({"SHELL": "/usr/bin/zsh", "ZDOTDIR": "/z"}, "/z/.zshrc"),
        ({"SHELL": "/usr/bin/fish"}, "~/.config/fish/config.fish"),
        ({"SHELL": "/usr/bin/fish", "XDG_CONFIG_HOME": "/c"}, "/c/fish/config.fish"),
        ({"SHELL": "/bin/dash"}, "~/.profile"),
        ({}, "~/.profile"),
    ],
)
def test_each_shell_has_a_file_that_it_reads(environ: dict[str, str], shown: str) -> None:
    place = Home(FOLDER, environ)

    assert place.shown(place.profile(CLIENTS["codex"])) == shown


def test_fish_has_a_form_of_its_own() -> None:
    lines = Home(FOLDER, {"SHELL": "fish"}).profile(CLIENTS["codex"]).lines

    assert lines == "set -gx GATEWAY_API_KEY '{key}'\n"
    assert Home(FOLDER, {}).profile(CLIENTS["codex"]).lines == "export GATEWAY_API_KEY={key}\n"


@pytest.mark.parametrize("shell", ["/usr/bin/nu", "/bin/tcsh", "/usr/bin/pwsh"])
def test_a_shell_that_reads_none_of_the_files_is_refused(shell: str) -> None:
    with pytest.raises(ByHand, match=shell.rpartition("/")[2]):
        Home(FOLDER, {"SHELL": shell}).profile(CLIENTS["codex"])


def test_home_is_that_of_the_variable(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "other")

    assert home({"HOME": "/home/me"}).folder == FOLDER
    assert real(tmp_path / "link") == real(tmp_path) / "other"
