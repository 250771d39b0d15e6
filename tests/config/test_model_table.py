"""The shipped table of models."""

from datetime import date

from gateway.config.model_table import model_table


def test_the_table_has_a_date_prices_and_abilities() -> None:
    table = model_table()

    assert date(2026, 11, 26) <= table.date
    assert "gemini-3.8-flash-tts*" in table.prices
    assert next(iter(table.abilities)) == "*"
