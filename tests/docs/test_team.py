"""docs/start/team.md: its configurations are valid, and the options that it names exist."""

import argparse
import re
from pathlib import Path

import pytest

from gateway.cli.keys import add_arguments
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from tests.support.paths import ROOT

TEAM = (ROOT / "docs" / "start" / "team.md").read_text("utf-8")
YAML: list[str] = re.findall(r"^```yaml\n(.*?)^```", TEAM, re.M | re.S)


@pytest.mark.parametrize("text", YAML)
def test_each_configuration_is_valid(text: str, tmp_path: Path) -> None:
    for name in re.findall(r"credential: ([\w-]+)", text):
        (tmp_path / name).write_text("secret")
    environ = dict.fromkeys(re.findall(r"env: (\w+)", text), "secret")
    config = Source(text, "page.yaml", {"CREDENTIALS_DIRECTORY": str(tmp_path), **environ}).decode(
        GatewayConfig
    )

    assert config != GatewayConfig()


def test_the_options_of_keys_are_those_of_the_command() -> None:
    section = TEAM.partition("\n## Keys, limits, budgets\n")[2].partition("\n**Limits.**")[0]
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    (actions,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    known = {option for action in actions.choices["add"]._actions for option in action.option_strings}

    assert set(re.findall(r"`?(--[a-z][a-z-]+)", section)) == known - {"-h", "--help", "--config"}
