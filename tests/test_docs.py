"""The pages say what the code does: settings, plugins, commands."""

import re

import msgspec
import pytest
import yaml
from msgspec import Struct

from gateway.cli.main import main
from gateway.config.schema import json_schema
from gateway.config.sections import GatewayConfig
from gateway.config.source import read_file
from gateway.emulator.replies import COMMANDS
from gateway.emulator.script import Rule
from gateway.observability import prometheus as metrics
from gateway.server.plugin_loader import BUILT_IN
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()
SHIPPED = ROOT / "config" / "gateway.yaml"


def test_each_section_has_its_row_in_the_readme() -> None:
    assert [name for name in GatewayConfig.__struct_fields__ if f"| `{name}` |" not in README] == []


def test_each_plugin_and_command_is_in_the_readme() -> None:
    commands = ("serve", "check", "routes", "schema", "translate", "fake", "demo")

    assert [name for name in BUILT_IN if f"`{name}`" not in README] == []
    assert [name for name in commands if f"gateway {name}" not in README] == []


def test_each_setting_stands_in_the_shipped_file() -> None:
    text = SHIPPED.read_text()

    assert [
        name for name in _settings(GatewayConfig) if not re.search(rf"^\s*#?\s*{name}:", text, re.M)
    ] == []


def _settings(struct: type[Struct]) -> list[str]:
    names: list[str] = []
    for field in msgspec.structs.fields(struct):
        names.append(field.name)
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            names += _settings(field.type)
    return names


def test_the_shipped_file_says_the_defaults() -> None:
    assert read_file(SHIPPED).decode(GatewayConfig) == GatewayConfig()


def test_the_schema_is_fresh_and_named_in_the_shipped_file() -> None:
    assert (ROOT / "config" / "gateway.schema.json").read_text() == json_schema()
    assert SHIPPED.read_text().startswith("# yaml-language-server: $schema=gateway.schema.json\n")


def test_the_schema_accepts_the_shipped_file_and_refuses_a_misspelling() -> None:
    import jsonschema

    schema = msgspec.json.decode(json_schema())
    shipped = yaml.safe_load(SHIPPED.read_text())
    jsonschema.validate(shipped, schema)
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors({**shipped, "modles": {}}))

    assert ["modles" in error.message for error in errors] == [True]


def test_each_prompt_command_of_the_emulator_is_in_its_page_and_none_else() -> None:
    page = (ROOT / "docs" / "emulator.md").read_text()

    assert set(re.findall(r"^\| `\[\[(.+?)\]\]` \|", page, re.M)) == set(COMMANDS)


def test_the_script_in_the_emulators_page_loads() -> None:
    page = (ROOT / "docs" / "emulator.md").read_text()
    (script,) = re.findall(r"```yaml\n(.*?)```", page, re.S)

    assert len(msgspec.convert(yaml.safe_load(script), list[Rule])) == 3


def test_the_python_in_the_readme_is_valid() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)

    for block in blocks:
        compile(block, "README.md", "exec")
    assert len(blocks) == 2


def test_gateway_routes_lists_what_the_readme_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routes", "--config", str(SHIPPED)]) == 0

    plugins = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert set(plugins) == set(re.findall(r"^\| .* \| `(\w+)` \|", README, re.M))


def test_the_page_of_metrics_says_what_is_counted() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == metrics.markdown()
