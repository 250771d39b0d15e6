"""Price table: the shipped rows, followed by those of `ledger.prices`."""

from gateway.config.model_table import model_table
from gateway.policy.ledger import LedgerConfig
from gateway.policy.pricing import Prices, price_rows


def prices(config: LedgerConfig) -> Prices:
    """Return all prices. The version is the date of the shipped table; it ends in `+own` if some are overridden."""
    table = model_table()
    rows = price_rows(table.prices)
    for pattern, price in config.prices.items():
        rows.pop(pattern, None)  # a row at the end takes precedence
        rows[pattern] = price
    return Prices(f"{table.date}{'+own' if config.prices else ''}", rows)
