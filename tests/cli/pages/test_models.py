"""docs/refer/models.md and docs/refer/prices.md: every row of the shipped table."""

from gateway.cli.pages.models import models_page, prices_page
from gateway.config.model_table import model_table
from gateway.gemini.capabilities import Capabilities


def test_each_successor_pattern_and_capability_has_a_row() -> None:
    text, table = models_page(), model_table()
    names = (*table.successors, *table.abilities, *Capabilities.__struct_fields__)

    assert [name for name in names if f"| `{name}` |" not in text] == []
    assert "| `gemini-2.5-pro*` | `budget`: 128 32768, `penalties`: true |" in text


def test_each_price_of_each_day_has_a_row() -> None:
    text = prices_page()

    for pattern, dated in model_table().prices.items():
        count = len(dated) if isinstance(dated, list) else 1
        assert text.count(f"| `{pattern}` |") == count, pattern


def test_a_price_has_its_day_and_its_other_kinds() -> None:
    lines = prices_page().splitlines()
    rows = {
        (cells[1].strip(), cells[2].strip()): cells for line in lines if len(cells := line.split("|")) == 8
    }
    (pattern, dated) = next(item for item in model_table().prices.items() if isinstance(item[1], list))

    for row in dated:
        cells = rows[f"`{pattern}`", str(row.get("from", ""))]
        assert (cells[3].strip(), cells[5].strip()) == (f"{row['input']:g}", f"{row['output']:g}")
        assert f"`search` {row['search']}" in cells[6]
