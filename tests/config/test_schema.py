"""The JSON Schema that editors use: what it takes and what it marks."""

import json
from typing import Any

import jsonschema
import pytest
import yaml

from gateway.config.schema import json_schema
from tests.support.paths import ROOT

VALIDATOR = jsonschema.Draft202012Validator(json.loads(json_schema()))


def marked(text: str) -> list[str]:
    """Return the paths that an editor would mark."""
    value: Any = yaml.safe_load(text)
    return [error.json_path for error in VALIDATOR.iter_errors(value)]


def test_the_schema_is_the_file_in_the_repository() -> None:
    assert (ROOT / "config" / "gateway.schema.json").read_text("utf-8") == json_schema()


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(json_schema()))


def test_the_shipped_configuration_has_no_mark() -> None:
    assert marked((ROOT / "config" / "gateway.yaml").read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("listen: {prot: 1}", "$.listen"),
        ("listen: {port: 65536}", "$.listen.port"),
        ("compat: maybe", "$.compat"),
        ("upstream: {base_url: 'ftp://x'}", "$.upstream.base_url"),
        ("safety: {HARM_CATEGORY_X: SOME}", "$.safety.HARM_CATEGORY_X"),
        ("unknown: 1", "$"),
    ],
)
def test_a_mistake_is_marked_at_its_place(text: str, path: str) -> None:
    assert marked(text) == [path]


@pytest.mark.parametrize("secret", ["{env: NAME}", "{credential: name}"])
def test_a_secret_is_a_reference(secret: str) -> None:
    assert marked(f"pool: {{projects: [{{name: a, keys: [{secret}]}}]}}") == []


@pytest.mark.parametrize("secret", ["AQ.key", "{}", "{env: A, credential: b}", "{env: 5}", "{file: x}"])
def test_a_secret_itself_is_marked(secret: str) -> None:
    assert marked(f"pool: {{projects: [{{name: a, keys: [{secret}]}}]}}")[0] == "$.pool.projects[0].keys[0]"
