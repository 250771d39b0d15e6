"""docs/clients/: pages of the programs."""

from gateway.cli.connect.clients import CLIENTS
from gateway.cli.pages.clients import PAGES


def test_each_program_has_a_page_in_the_list() -> None:
    listed = PAGES["clients/README.md"]()

    assert set(PAGES) == {"clients/README.md", *(f"clients/{name}.md" for name in CLIENTS)}
    assert all(f"({name}.md)" in listed for name in CLIENTS)


def test_a_page_has_the_command_and_the_settings() -> None:
    text = PAGES["clients/codex.md"]()

    assert "`gateway connect codex --write --url https://gateway.example.com`" in text
    assert 'wire_api = "responses"' in text


def test_a_program_without_files_is_set_up_by_hand() -> None:
    text = PAGES["clients/cursor.md"]()

    assert "--write" not in text
    assert "3. Override OpenAI base URL: `https://gateway.example.com/v1`" in text
