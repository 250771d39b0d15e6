"""Parts of the process that may stop while the event loop goes on."""

from gateway.plugin import Services

_LONGEST = 60.0
"""Seconds for one transaction or lookup: longer than a database that is locked for a backup, which fails every two
seconds, and longer than three name servers that do not answer (resolv.conf(5): 5 seconds, twice each)."""


def stuck_part(services: Services) -> str | None:
    """Return which part does not go on, in words; None if all do."""
    exchange = services.exchange
    ledger_is_stuck = getattr(exchange.accounting.ledger, "is_stuck", None)
    if ledger_is_stuck is not None and ledger_is_stuck(_LONGEST):
        return f"the ledger has not ended a transaction for {_LONGEST:.0f} seconds, or its thread has ended"
    if exchange.upstream_is_stuck(_LONGEST):
        return f"a look-up in DNS has not ended for {_LONGEST:.0f} seconds"
    return None
