"""Price table: the shipped rows, followed by those of `ledger.prices`."""

from importlib.resources import files

import yaml

from gateway.policy.ledger import LedgerConfig
from gateway.policy.pricing import Prices, price_rows


def prices(config: LedgerConfig) -> Prices:
    """Return all prices. The version ends in `+own` if the configuration overrides some."""
    shipped = yaml.safe_load((files("gateway.config") / "prices.yaml").read_text())
    rows = price_rows(shipped["models"])
    for pattern, price in config.prices.items():
        rows.pop(pattern, None)  # a row at the end takes precedence
        rows[pattern] = price
    return Prices(shipped["version"] + ("+own" if config.prices else ""), rows)
