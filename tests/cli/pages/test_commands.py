"""docs/refer/cli.md: each command, action and argument with its help."""

import argparse

import pytest

from gateway.cli.main import COMMANDS
from gateway.cli.pages.commands import commands, leaves, page

LEAVES = [leaf for command in commands() for leaf in leaves(command)]
PAGE = page()


def test_each_command_has_a_section() -> None:
    lines = PAGE.splitlines()

    assert [name for name in COMMANDS if f"## `gateway {name}`" not in lines] == []


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.prog)
def test_each_argument_stands_in_the_section_of_its_command(leaf: argparse.ArgumentParser) -> None:
    section = PAGE.partition(f"# `{leaf.prog}`\n")[2].partition("\n#")[0]
    options = {
        option
        for action in leaf._actions
        if action.help != argparse.SUPPRESS
        for option in action.option_strings
        if not isinstance(action, argparse._HelpAction)
    }

    assert [option for option in options if option not in section] == []
    assert "%(" not in section


def test_defaults_and_choices_are_written_out() -> None:
    text = PAGE

    assert "| `DIR` | folder to write into (default: .) |" in text
    assert "`--format {table,csv,json}`" in text
