"""Decoding of the YAML: every mistake has its place and a plain message."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from gateway.config.secret import Secret
from gateway.config.sections import DEFAULT_SAFETY, GatewayConfig, ListenConfig
from gateway.config.source import Source, _composed_quickly, read_file
from gateway.errors import ConfigError
from tests.support.paths import ROOT


def faults(text: str, type_: type[Any] = GatewayConfig) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Source(text, "g.yaml", {}).decode(type_)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listen:\n  prot: 1\n", "g.yaml:2:3: unknown key 'prot' in listen; did you mean 'port'? Known: host, port, unix"),
        ("listen:\n  port: x\n", "g.yaml:2:9: listen.port: expected a whole number, got a text"),
        ("listen:\n  port: 99999\n", "g.yaml:2:9: listen.port: expected a whole number <= 65535"),
        ("listen:\n  host: 1\n", "g.yaml:2:9: listen.host: expected a text, got a whole number: put it in quotes"),
        ("listen: 5\n", "g.yaml:1:9: listen: expected a mapping, got a whole number"),
        ("listen: true\n", "g.yaml:1:9: listen: expected a mapping, got true or false: write {} for its defaults"),
        ("safety: {hate: OFF}\n", f"g.yaml:1:10: unknown key 'hate' in safety; did you mean 'HARM_CATEGORY_HATE_SPEECH'? Known: {', '.join(DEFAULT_SAFETY)}"),
        ("safety:\n  other: off\n", f"g.yaml:2:3: unknown key 'other' in safety. Known: {', '.join(DEFAULT_SAFETY)}"),
        ("a: 1\na: 2\n", "g.yaml:2:1: duplicate key 'a': also in line 1"),
        ("listen:\n  port: 1\n  port: 2\n", "g.yaml:3:3: duplicate key 'port': also in line 2"),
        ("listen: !!python/object:os.system x\n", "g.yaml:1:9: the tag 'tag:yaml.org,2002:python/object:os.system' is not supported"),
        ("listen: {\n", "g.yaml:2:1: expected the node content, but found '<stream end>'"),
        ("\tlisten: 1\n", "g.yaml:1:1: a tab: indent with spaces"),
        ("- 1\n", "g.yaml:1:1: expected a mapping of sections"),
        ("a: 1\n---\nb: 2\n", "g.yaml:2:1: but found another document"),
        ("? [1]\n: 2\n", "g.yaml:1:3: a key must be a plain scalar"),
        ("a: \x00\n", "g.yaml:1:1: unacceptable character #x0000: special characters are not allowed"),
        ("models:\n  aliases:\n    x: a b\n", "g.yaml:2:3: models: 'a b' is not a model name"),
        ("compat: maybe\n", "g.yaml:1:9: compat: invalid enum value 'maybe'; one of lenient, strict"),
        ("cors:\n  origins: [x, 1]\n", "g.yaml:2:16: cors.origins.1: expected a text, got a whole number: put it in quotes"),
        ("&a listen: &b\n  port: *b\n", "g.yaml:1:12: aliases expand to more than 10000 nodes"),
    ],
)  # fmt: skip
def test_a_fault_has_its_place(text: str, message: str) -> None:
    assert faults(text) == [message]


def test_one_run_reports_each_section() -> None:
    result = faults("listen: {port: x}\ncompat: y\nmodles: {}\n")

    assert [line[:10] for line in result] == ["g.yaml:1:1", "g.yaml:2:9", "g.yaml:3:1"]
    assert "did you mean 'models'?" in result[2]


@pytest.mark.row("S73")
def test_a_bomb_of_aliases_is_refused() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))

    assert "aliases expand" in faults(bomb)[0]


def test_words_of_yaml_1_1_stay_text() -> None:
    data = Source("a: no\nb: 1:30\nc: on\nd: 0x10\ne: '5'\nf: 1e3\ng: ~\nh: 0o17\ni: 12e\n", "g", {}).data

    assert data == {
        "a": "no",
        "b": "1:30",
        "c": "on",
        "d": 16,
        "e": "5",
        "f": 1000.0,
        "g": None,
        "h": 15,
        "i": "12e",
    }


def test_an_empty_file_and_an_empty_section_mean_the_defaults() -> None:
    assert Source("", "g", {}).decode(GatewayConfig) == GatewayConfig()
    assert Source("listen:\n", "g", {}).decode(ListenConfig, at=("listen",)) == ListenConfig()


def test_a_part_can_be_decoded_alone() -> None:
    source = Source("a:\n  b: {port: 5}\n", "g", {})

    assert source.decode(ListenConfig, at=("a", "b")).port == 5
    assert source.decode(ListenConfig, at=("a", "x")) == ListenConfig()
    assert str(source.fault(("a", "b"), "here", key=True)) == "g:2:3: here"
    assert str(source.fault(("nowhere",), "here")) == "g:1:1: here"


class Keyed(Struct, forbid_unknown_fields=True):
    key: Secret
    more: str = ""


class Holder(Struct, forbid_unknown_fields=True):
    pool: list[Keyed] = []


ENV = {"GOOD": " \ufeff hush\n", "EMPTY": " ", "BROKEN": "a\nb"}


def test_a_secret_comes_from_the_environment_and_does_not_show() -> None:
    (keyed,) = Source("pool: [{key: {env: GOOD}}]", "g", ENV).decode(Holder).pool

    assert keyed.key == Secret("hush")
    assert "hush" not in repr(keyed) + str(keyed.key)
    assert keyed.key.reveal() == "hush"
    assert keyed.key != "hush"
    assert len({keyed.key, Secret("hush")}) == 1


def test_one_run_reports_every_fault() -> None:
    text = """\
ledger:
  prices:
    gemini-x: {in: 0.3, output: many}
    gemini-y: {input: -1}
  on_failure: stopp
  days: long
safety:
  HARM_CATEGORY_X: BLOCK_SOME
  HARM_categories: BLOCK_NONE
models: {aliases: {gpt-4o: }, unknown: refuse, fallbacks: {a: [b, 7]}}
pool: {projects: [{name: a, keys: []}, {name: B!}]}
"""
    with pytest.raises(ConfigError) as caught:
        Source(text, "g", {}).decode(GatewayConfig)

    lines = [str(fault) for fault in caught.value.faults]
    assert [line.partition(" ")[0] for line in lines] == [
        "g:3:33:", "g:3:16:", "g:4:23:", "g:5:15:", "g:6:9:", "g:8:20:", "g:9:3:", "g:10:27:", "g:10:40:", "g:10:67:",
        "g:11:35:", "g:11:47:",
    ]  # fmt: skip
    assert lines[0].startswith("g:3:33: ledger.prices.gemini-x.output: expected a number, got a text")
    assert "unknown key 'in' in ledger.prices.gemini-x" in lines[1]
    assert "safety.HARM_CATEGORY_X: invalid enum value 'BLOCK_SOME'; one of BLOCK_LOW_AND_ABOVE, " in lines[5]
    assert lines[6].startswith(
        "g:9:3: unknown key 'HARM_categories' in safety. Known: HARM_CATEGORY_HATE_SPEECH, "
    )
    assert "models.aliases.gpt-4o: expected a text" in lines[7]


@pytest.mark.row("P36")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("sk-literal", "expected {env: NAME}"),
        ("{env: A, credential: B}", "expected {env: NAME}"),
        ("{file: x}", "expected {env: NAME}"),
        ("{env: NOPE}", "the environment variable 'NOPE' is not set"),
        ("{env: EMPTY}", "is empty"),
        ("{env: BROKEN}", "contains blanks"),
    ],
)
def test_a_bad_secret_is_a_fault_without_its_value(value: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Source(f"pool:\n- key: {value}\n", "g", ENV).decode(Holder)

    assert message in str(caught.value)
    assert str(caught.value).startswith("g:2:")
    assert "sk-literal" not in str(caught.value)


def test_a_missing_key_is_named() -> None:
    assert faults("pool:\n- more: x\n", Holder) == ["g.yaml:2:3: pool.0 needs 'key'"]
    assert "Known: key, more" in faults("pool:\n- kex: x\n", Holder)[0]


@pytest.mark.row("P08")
def test_files_that_cannot_be_read_are_faults(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"a: 1\nb: \xe9\n")
    (tmp_path / "large").write_bytes(b"#" * (1024 * 1024 + 1))
    rows = {
        "missing": "cannot be read: No such file",
        "latin": ":2:1: not UTF-8",
        "large": "larger than",
        "": "cannot be read: Is a dir",
    }
    for name, message in rows.items():
        with pytest.raises(ConfigError, match=message):
            read_file(tmp_path / name)


def test_a_byte_order_mark_is_forgiven(tmp_path: Path) -> None:
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfdrain: 5\n")

    assert read_file(tmp_path / "bom").decode(GatewayConfig).drain == 5


@given(st.text(max_size=60) | st.text("abl:-[]{}&*!'\"\n ?1>|", max_size=60))
def test_any_text_is_a_value_or_a_fault(text: str) -> None:
    with suppress(ConfigError):
        assert isinstance(Source(text, "g", {}).decode(GatewayConfig), GatewayConfig)


def test_deep_nesting_is_a_fault() -> None:
    assert faults("[" * 5000)[0].startswith("g.yaml:")


def nodes(node: yaml.Node | None) -> Any:
    """Return tag, place and value of each node."""
    if node is None:
        return None
    value = node.value
    if isinstance(node, yaml.SequenceNode):
        value = [nodes(item) for item in value]
    elif isinstance(node, yaml.MappingNode):
        value = [(nodes(key), nodes(item)) for key, item in value]
    quoted = bool(getattr(node, "style", "")) and isinstance(node, yaml.ScalarNode)
    return node.tag, node.start_mark.line, node.start_mark.column, value, quoted


WORDS = ["a", "b: ", ": ", ":", "\n", "\n  ", "- ", "{", "}", "[", "]", ", ", "'", '"', "#", " # x", "|", ">-", "\n    ", "&a ",
         "*a", "!t ", "%", "?", "\t", "\ufeff", "é", "😀", "\r\n", "\x85", "\u2028", "1", "~", "key: value\n", "2027-01-01"]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=25).map("".join))
def test_libyaml_gives_the_same_nodes_at_the_same_places(text: str) -> None:
    quick = _composed_quickly(text)
    if quick is not None:
        assert nodes(quick) == nodes(yaml.compose(text, Loader=yaml.SafeLoader))


@pytest.mark.parametrize(
    "text",
    [
        "a\t: 1", "? a", "{a: , b}", "{a: # x\n}", "[a, b: ]", "># x\n a", "\ufeffa: 1", "[" * 501, "a: {" * 300 + "[" * 300,
        "- " * 250, "a: [1", "a: b: c",
    ],
)  # fmt: skip
def test_what_libyaml_reads_otherwise_is_read_by_pyyaml(text: str) -> None:
    assert _composed_quickly(text) is None


def test_the_shipped_file_is_read_quickly() -> None:
    text = (ROOT / "config" / "gateway.yaml").read_text()

    assert nodes(_composed_quickly(text)) == nodes(yaml.compose(text, Loader=yaml.SafeLoader))
