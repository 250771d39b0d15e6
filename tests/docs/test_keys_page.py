"""docs/do/keys-and-budgets.md: its options are those of `gateway keys add`."""

import argparse
import re

from gateway.cli.keys import add_arguments
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "do" / "keys-and-budgets.md").read_text("utf-8")


def test_the_options_of_keys_are_those_of_the_command() -> None:
    section = PAGE.partition("\n## ")[0]
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    (actions,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    known = {option for action in actions.choices["add"]._actions for option in action.option_strings}

    assert set(re.findall(r"`?(--[a-z][a-z-]+)", section)) == known - {"-h", "--help", "--config"}
