"""Price table and successors: the shipped rows, followed by those of `ledger.prices` and `models.successors`."""

from gateway.config.model_table import model_table
from gateway.policy.ledger import LedgerConfig
from gateway.policy.models.catalog import ModelsConfig
from gateway.policy.models.pricing import Prices, price_rows
from gateway.policy.models.successors import NO_SUCCESSORS, Successor, Successors


def prices(config: LedgerConfig, successors: Successors | None = None) -> Prices:
    """Return all prices. The version is the date of the shipped table; it ends in `+own` if some are overridden."""
    table = model_table()
    version = f"{table.date}{'+own' if config.prices else ''}"
    return Prices(
        version, price_rows(table.prices), config.prices, NO_SUCCESSORS if successors is None else successors
    )


def successor_rows(config: ModelsConfig) -> dict[str, Successor]:
    """Return the successors of the shipped table and of the configuration, which takes precedence."""
    return {**model_table().successors, **config.successors}


def successors(config: ModelsConfig, before: Successors | None = None) -> Successors:
    """Return the successors. What answers have said until now, as `before` knows it, is kept."""
    return Successors(successor_rows(config), before)
