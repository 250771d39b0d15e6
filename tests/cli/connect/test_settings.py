"""Settings of a program as text."""

from pathlib import Path

import pytest

from gateway.cli.connect.clients import CLIENTS, Client
from gateway.cli.connect.places import Home
from gateway.cli.connect.settings import Settings, file_text, page

SETTINGS = Settings("https://gateway.example.com", "AQ.secret-key", "gemini-x")


@pytest.mark.parametrize("client", CLIENTS.values(), ids=lambda client: client.name)
def test_the_text_has_all_that_is_needed(client: Client) -> None:
    text = page(client, SETTINGS)

    assert SETTINGS.url in text
    assert SETTINGS.key in text
    assert not any(f"{{{name}}}" in text for name in SETTINGS.words())


def test_the_file_of_the_text_is_whole() -> None:
    (file,) = CLIENTS["continue"].files

    assert file_text(file, SETTINGS).startswith(
        'name: Local\nversion: "1.0.0"\nschema: v1\nmodels:\n- name: Gemini\n'
    )


def test_a_file_that_a_variable_has_moved_is_shown_there() -> None:
    home = Home(Path("/home/me"), {"CODEX_HOME": "/data/codex"})

    assert "In `/data/codex/config.toml`:" in page(CLIENTS["codex"], SETTINGS, home)
    assert "In `~/.claude/settings.json`:" in page(CLIENTS["claude"], SETTINGS, home)
