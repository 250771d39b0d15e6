"""docs/emulator.md: the commands of prompts, and an example that loads."""

import re

import msgspec
import yaml

from gateway.emulator.batches_api import ENDINGS
from gateway.emulator.replies import COMMANDS
from gateway.emulator.script import Rule
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "emulator.md").read_text()


def test_each_prompt_command_of_the_emulator_is_in_its_page_and_none_else() -> None:
    batches = {command.decode().strip("[]") for command in ENDINGS}
    assert set(re.findall(r"^\| `\[\[(.+?)\]\]` \|", PAGE, re.M)) == set(COMMANDS) | batches


def test_the_script_in_the_emulators_page_loads() -> None:
    (script,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)

    assert len(msgspec.convert(yaml.safe_load(script), list[Rule])) == 3
