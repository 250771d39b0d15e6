"""`gateway usage`: sums of the ledger."""

import argparse
import csv
import re
import sys
from datetime import UTC, datetime
from decimal import Decimal
from time import time
from typing import TYPE_CHECKING, Any

from gateway.cli.arguments import add_config
from gateway.cli.key_names import UnknownKey, keys_named
from gateway.cli.keys import ledger_engine
from gateway.cli.tables import print_json, print_table
from gateway.policy.clients.budgets import dollars

if TYPE_CHECKING:
    from gateway.policy.clients.access import ClientKey
    from gateway.store.ledger.reports import Usage

COLUMNS = ("client", "project", "model", "surface", "outcome")
"""Columns to group by, as in `gateway.store.ledger.reports`, which needs SQLAlchemy."""
_BUCKETS = {"hour": 3600, "day": 86400}
_DEFAULT_DAYS = 30
_OWN_KEYS = "(own Gemini keys)"
"""Clients without an issued key, in a table."""
_SUMS = ("calls", "prompt", "cached", "completion", "thoughts", "searches", "dollars")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "--since",
        type=_day,
        metavar="DATE",
        help=f"YYYY-MM-DD, UTC (default: {_DEFAULT_DAYS} days before the end)",
    )
    parser.add_argument(
        "--until", type=_day, metavar="DATE", help="YYYY-MM-DD, UTC, exclusive (default: now)"
    )
    parser.add_argument(
        "--by",
        default="client,model",
        metavar="COLUMNS",
        help=f"comma-separated columns to group by: {', '.join(COLUMNS)} (default: client,model)",
    )
    parser.add_argument("--bucket", choices=tuple(_BUCKETS), help="one row for each hour or day")
    parser.add_argument(
        "--client", metavar="KEY", help="only calls of the key with this id, or of all keys with this name"
    )
    parser.add_argument(
        "--format", choices=("table", "csv", "json"), default="table", help="output format (default: table)"
    )
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="the same as --format json"
    )


def run(options: argparse.Namespace) -> int:
    """Print the sums. Raises ConfigError without a ledger."""
    by = [name for name in options.by.split(",") if name]
    if unknown := [name for name in by if name not in COLUMNS]:
        print(f"gateway usage: --by {unknown[0]}: expected one of {', '.join(COLUMNS)}", file=sys.stderr)
        return 2
    until = options.until if options.until is not None else time() + 1
    since = options.since if options.since is not None else until - _DEFAULT_DAYS * 86400
    if since >= until:
        end = f"--until {_date(options.until)}" if options.until is not None else "the present"
        print(
            f"gateway usage: --since {_date(since)} is not before {end}, which is exclusive", file=sys.stderr
        )
        return 2
    bucket = _BUCKETS.get(options.bucket or "", 0)
    engine = ledger_engine(options.config)
    from gateway.store.ledger.client_keys import issued  # after the check that its packages are installed
    from gateway.store.ledger.reports import usage

    keys = issued(engine)
    try:
        only = [key.id for key in keys_named(keys, options.client)] if options.client is not None else None
    except UnknownKey as error:
        print(f"gateway usage: --client: {error}", file=sys.stderr)
        return 2
    grouped = [name for column in by for name in ((column, "name") if column == "client" else (column,))]
    columns = [*(["start"] if bucket else []), *grouped, *_SUMS]
    rows = usage(engine, since, until, by, bucket, only)
    _print(columns, rows, {key.id: key for key in keys}, options.format)
    return 0


def _cells(row: "Usage", columns: list[str], keys: "dict[str, ClientKey]", form: str) -> dict[str, Any]:
    """Return the value of each column: Decimals for money in JSON, text elsewhere."""
    key = keys.get(row.client)
    name = key.name if key is not None else ""
    derived: dict[str, Any] = {
        "start": datetime.fromtimestamp(row.start, UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "name": name or (_OWN_KEYS if form == "table" and not row.client else ""),
        "dollars": dollars(row.micros) if form == "table" else Decimal(row.micros) / 1_000_000,
    }
    return {column: derived[column] if column in derived else getattr(row, column) for column in columns}


def _day(text: str) -> float:
    """Parse YYYY-MM-DD as seconds since 1970."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise argparse.ArgumentTypeError(f"expected YYYY-MM-DD, got {text!r}")
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _print(columns: list[str], rows: "list[Usage]", keys: "dict[str, ClientKey]", form: str) -> None:
    cells = [_cells(row, columns, keys, form) for row in rows]
    if form == "json":
        print_json(cells)
    elif form == "csv":
        writer = csv.DictWriter(sys.stdout, columns)
        writer.writeheader()
        writer.writerows({**row, "dollars": f"{row['dollars']:f}"} for row in cells)
    else:
        print_table(columns, [[str(row[name]) for name in columns] for row in cells])
