"""docs/refer/mapping/remedies.md lists every remedy in the order of the table, with the fields that it changes."""

import re
from pathlib import Path

import pytest

from gateway.gemini.remedies import REMEDIES, Remedy

PAGE = Path(__file__).parents[2] / "docs" / "refer" / "mapping" / "remedies.md"
ROWS = PAGE.read_text().partition("| what Google refuses |")[2].partition("\n\n")[0].splitlines()[2:]


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def test_every_remedy_has_its_row() -> None:
    assert len(ROWS) == len(REMEDIES)


@pytest.mark.parametrize(
    ("row", "remedy"), list(zip(ROWS, REMEDIES, strict=False)), ids=lambda x: getattr(x, "feature", "")
)
def test_a_row_names_the_fields_that_its_remedy_changes(row: str, remedy: Remedy) -> None:
    cells = row.strip("|").rsplit("|", 1)
    assert tuple(_snake(name) for name in re.findall(r"`(\w+)`", cells[-1])) == remedy.fields
