"""docs/refer/config.md: a row for each key, with its type, range, default and description."""

from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct, field

from gateway.cli.pages.configuration import Row, all_rows, page, rows
from gateway.config.secret import Secret


class Inner(Struct, frozen=True):
    size: Annotated[int, Meta(gt=0, description="Its size.")]
    """Not used: the annotation wins."""


class Section(Struct, frozen=True, rename={"as_": "as"}):
    as_: str = "x"
    """A text
    over two lines."""
    mode: Literal["a", "b"] = "a"
    ratio: Annotated[float | None, Meta(ge=0.5, lt=2)] = None
    names: Annotated[tuple[str, ...], Meta(min_length=1)] = ("n",)
    by_name: dict[str, Inner] = field(default_factory=dict)
    listed: list[Inner] = field(default_factory=list)
    inner: Inner = Inner(5)
    secret: Secret | None = None
    pattern: Annotated[str, Meta(pattern="^a|b$")] = "a"
    long: str = "y" * 70


ROWS = {row.key: row for row in rows(Section, "s.")}


@pytest.mark.parametrize(
    "row",
    [
        Row("s.mode", "one of `a`, `b`", '`"a"`', "", ""),
        Row("s.ratio", "number", "–", "≥ 0.5; < 2", ""),
        Row("s.names", "list of text", '`["n"]`', "at least 1", ""),
        Row("s.by_name", "mapping of text to mapping", "`{}`", "", ""),
        Row("s.by_name.*.size", "integer", "required", "> 0", "Its size."),
        Row("s.listed", "list of mapping", "`[]`", "", ""),
        Row("s.listed[].size", "integer", "required", "> 0", "Its size."),
        Row("s.inner.size", "integer", "required", "> 0", "Its size."),
        Row("s.secret", "secret", "–", "", ""),
        Row("s.pattern", "text", '`"a"`', "`^a\\|b$`", ""),
        Row("s.long", "text", "see `config/gateway.yaml`", "", ""),
        Row("s.as", "text", '`"x"`', "", ""),
    ],
    ids=lambda row: row.key,
)
def test_a_key_has_its_type_default_range_and_description(row: Row) -> None:
    assert ROWS[row.key] == row


def test_a_section_is_listed_by_its_keys() -> None:
    assert "s.inner" not in ROWS


def test_every_key_of_the_configuration_is_described() -> None:
    assert [row.key for row in all_rows() if not row.description] == []


def test_nested_keys_are_listed() -> None:
    keys = {row.key for row in all_rows()}

    assert {
        "listen.port", "upstream.retry.attempts", "pool.projects[].keys", "ledger.prices.*.input", "plugins.models.seconds"
    } <= keys  # fmt: skip


def test_the_page_has_every_row() -> None:
    text = page()

    assert [
        row.key for row in all_rows() if f"| `{row.key}` | {row.type} | {row.default} |" not in text
    ] == []
