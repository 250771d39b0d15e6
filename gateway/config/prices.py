"""The price table: the shipped rows, and the operator's after them."""

from importlib.resources import files

import yaml

from gateway.policy.ledger import LedgerConfig
from gateway.policy.pricing import Prices, price_rows


def prices(config: LedgerConfig) -> Prices:
    """All prices; the version says when the operator has changed some."""
    shipped = yaml.safe_load((files("gateway.config") / "prices.yaml").read_text())
    rows = price_rows(shipped["models"])
    for pattern, price in config.prices.items():
        rows.pop(pattern, None)  # an override goes last, where it counts
        rows[pattern] = price
    return Prices(shipped["version"] + ("+own" if config.prices else ""), rows)
