"""Changes of settings files: what is added is there, the rest is as it was, and undo gives it back to the byte."""

import json
import tomllib
from typing import Any

import pytest
import yaml

from gateway.cli.connect import edits
from gateway.cli.connect.clients import SettingsFile
from gateway.cli.connect.edits import ByHand, CannotEdit

TOML = SettingsFile("a.toml", "toml", top='model = "ours"\n', lines='[servers.gateway]\nurl = "http://x"\n')
LIST = SettingsFile("a.yaml", "yaml", top="name: Local\n", item="- name: Gemini\n  roles: [chat]\n")
KEYS = SettingsFile("b.yml", "yaml", top='model: "ours"\n')
ENV = SettingsFile(".env", "env", lines="KEY=ours\n")


@pytest.mark.parametrize(
    "before",
    [
        "",
        'model = "theirs"\n# a comment\n[servers.other]\nmodel = "inner"\n',
        "other = 1\n\n[table]\nx = 1\n",
        "[table]\nx = 1  # the end has no line feed",
        '\r\nmodel = "theirs"\r\n',
    ],
)
def test_toml_has_the_new_values_and_gets_its_own_back(before: str) -> None:
    after = edits.with_lines(before, "codex", TOML)
    values = tomllib.loads(after)

    assert values["model"] == "ours"
    assert values["servers"]["gateway"] == {"url": "http://x"}
    assert values.get("table") == tomllib.loads(before).get("table")
    assert edits.without_lines(after, "codex").rstrip("\n") == before.rstrip("\n")


@pytest.mark.parametrize(
    "before",
    [
        "",
        "name: Mine\nmodels:\n  - name: Other\nrules: [a]\n",
        "name: Mine\nmodels:\n- name: Other\n- name: More\n",
        "models:\n    # comment\n    - name: Other\n",
        "name: Mine\n",
        "name: Mine\nmodels:\n",
    ],
)
def test_a_model_is_added_to_the_list(before: str) -> None:
    after = edits.with_lines(before, "continue", LIST)
    own = (yaml.safe_load(before) or {}).get("models") or []

    assert yaml.safe_load(after)["models"] == [{"name": "Gemini", "roles": ["chat"]}, *own]
    assert edits.without_lines(after, "continue") == (before or "name: Local\n")


def test_keys_of_yaml_replace_those_before() -> None:
    before = "# mine\nmodel: theirs\ndark: true\n"
    after = edits.with_lines(before, "aider", KEYS)

    assert yaml.safe_load(after) == {"model": "ours", "dark": True}
    assert edits.without_lines(after, "aider") == before


def test_lines_are_written_once_and_each_program_has_its_own() -> None:
    before = "export PATH=x\n"
    once = edits.with_lines(before, "codex", ENV)
    both = edits.with_lines(once, "copilot", ENV)

    assert edits.with_lines(once, "codex", ENV) == once
    assert edits.without_lines(both, "codex") == edits.with_lines(before, "copilot", ENV)
    assert edits.without_lines(edits.without_lines(both, "codex"), "copilot") == before
    assert edits.is_ours(both.removeprefix(before))
    assert not edits.is_ours(both)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (TOML, "model = \n"),
        (TOML, "[servers.gateway]\nurl = 1\n"),
        (LIST, "models: [{name: a}]\n"),
        (LIST, "a: [\n"),
        (LIST, "just a text\n"),
        (KEYS, "model:\n  - nested\n"),
        (TOML, "# >>> gateway connect codex >>>\nmodel = 1\n"),
    ],
)
def test_what_cannot_be_changed_safely_is_left_alone(file: SettingsFile, text: str) -> None:
    with pytest.raises(CannotEdit):
        edits.with_lines(text, "codex", file)


VALUES = {"env": {"URL": "http://x", "KEY": "ours"}, "model": "m"}


@pytest.mark.parametrize(
    "before",
    [
        {},
        {"env": {"KEY": "theirs", "OTHER": "1"}},
        {"model": "theirs", "env": {}},
        {"env": "no object"},
        VALUES,
    ],
)
def test_values_are_merged_and_taken_out(before: dict[str, Any]) -> None:
    after, record = edits.with_values(json.dumps(before), VALUES)

    assert json.loads(after)["model"] == "m"
    assert VALUES["env"].items() <= json.loads(after)["env"].items()  # type: ignore[attr-defined]
    assert json.loads(edits.without_values(after, record) or "{}") in (
        before,
        {k: v for k, v in before.items() if v},
    )


def test_values_that_somebody_changed_since_stay() -> None:
    after, record = edits.with_values('{"env": {"OTHER": "1"}}', VALUES)
    changed = json.loads(after) | {"model": "theirs"}

    assert json.loads(edits.without_values(json.dumps(changed), record)) == {
        "env": {"OTHER": "1"},
        "model": "theirs",
    }


@pytest.mark.parametrize("text", ["// comment\n{}", "[1]", '{"a": 1,}', "nothing"])
def test_what_is_not_a_plain_json_object_is_left_alone(text: str) -> None:
    with pytest.raises(CannotEdit):
        edits.with_values(text, VALUES)


@pytest.mark.parametrize(
    "text",
    ["[servers.gateway]\nurl = 1\n", "[servers]\ngateway = { url = 1 }\n", "servers.gateway.url = 1\n"],
)
def test_a_table_of_the_same_name_is_named(text: str) -> None:
    with pytest.raises(CannotEdit, match=r"table `\[servers\.gateway\]` of its own"):
        edits.with_lines(text, "codex", TOML)


def test_an_item_of_the_same_name_is_named() -> None:
    file = SettingsFile("a.yaml", "yaml", lines="- model_id: gateway\n  x: 1\n")
    with pytest.raises(CannotEdit, match="`model_id: gateway` of its own"):
        edits.with_lines("- model_id: gateway\n", "llm", file)


def test_keys_that_would_defeat_the_new_ones_are_set_aside() -> None:
    file = SettingsFile("a.toml", "toml", top='model = "ours"\n', aside=("profile",))
    before = 'profile = "work"\n[a]\nprofile = 1\n'
    after = edits.with_lines(before, "codex", file)

    assert tomllib.loads(after) == {"model": "ours", "a": {"profile": 1}}
    assert edits.without_lines(after, "codex") == before


@pytest.mark.parametrize("text", ['{"a": 1} // mine', '{"a": 1,}'])
def test_json_with_comments_is_for_a_person(text: str) -> None:
    with pytest.raises(ByHand):
        edits.with_values(text, VALUES)


def test_toml_that_the_new_lines_would_break_is_for_a_person() -> None:
    with pytest.raises(ByHand, match="with the new lines"):
        edits.with_lines("servers = {}\n", "codex", TOML)
