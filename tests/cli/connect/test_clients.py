"""The table of programs."""

from gateway.cli.connect.clients import CLIENTS
from tests.support.paths import TESTS


def test_programs_are_in_alphabetical_order() -> None:
    assert list(CLIENTS) == sorted(CLIENTS)


def test_each_program_can_be_connected() -> None:
    assert [c.name for c in CLIENTS.values() if not (c.environment or c.files or c.steps)] == []


def test_a_release_that_was_tried_is_the_one_that_the_drivers_install() -> None:
    packages = (TESTS / "clients" / "clients.txt").read_text()
    releases = [
        word for c in CLIENTS.values() for word in c.seen.replace(",", " ").split() if word[0].isdigit()
    ]

    assert releases
    assert [release for release in releases if f"{release}" not in packages] == []


def test_a_folder_that_a_variable_replaces_is_the_begin_of_the_path() -> None:
    moves = [
        (f.path, folders) for c in CLIENTS.values() for f in c.files for _, folders in f.moved if folders
    ]

    assert moves
    assert [path for path, folders in moves if not path.startswith(f"{folders}/")] == []


def test_claude_code_gets_neither_a_second_key_nor_another_provider_from_the_shell() -> None:
    values = CLIENTS["claude"].files[0].values
    assert values is not None
    for name in ("ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"):
        assert values["env"][name] == ""


def test_programs_that_choose_between_login_and_key_are_told_to_use_the_key() -> None:
    kinds = {
        name: file.values["security"]["auth"]["selectedType"]
        for name in ("gemini-cli", "qwen")
        for file in CLIENTS[name].files
        if file.values is not None
    }
    assert kinds == {"gemini-cli": "gemini-api-key", "qwen": "openai"}
