"""The table of programs."""

from gateway.cli.connect.clients import CLIENTS
from tests.support.paths import TESTS


def test_programs_are_in_alphabetical_order() -> None:
    assert list(CLIENTS) == sorted(CLIENTS)


def test_each_program_can_be_connected() -> None:
    assert [c.name for c in CLIENTS.values() if not (c.environment or c.file or c.steps)] == []


def test_a_release_that_was_tried_is_the_one_that_the_drivers_install() -> None:
    packages = (TESTS / "clients" / "clients.txt").read_text()
    releases = [
        word for c in CLIENTS.values() for word in c.seen.replace(",", " ").split() if word[0].isdigit()
    ]

    assert releases
    assert [release for release in releases if f"{release}" not in packages] == []
