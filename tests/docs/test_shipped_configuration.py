"""config/gateway.yaml: every setting, at its default."""

import re

import msgspec
from msgspec import Struct

from gateway.config.sections import GatewayConfig
from gateway.config.source import read_file
from tests.support.paths import ROOT

SHIPPED = ROOT / "config" / "gateway.yaml"


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


def test_the_shipped_file_has_the_defaults() -> None:
    assert read_file(SHIPPED).decode(GatewayConfig) == GatewayConfig()


def test_editors_find_the_schema() -> None:
    assert SHIPPED.read_text().startswith("# yaml-language-server: $schema=gateway.schema.json\n")
