"""`gateway usage`: sums of the ledger."""

import argparse
import csv
import re
import sys
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any

import msgspec

from gateway.cli.arguments import add_config
from gateway.cli.keys import ledger_engine

COLUMNS = ("client", "project", "model", "surface", "outcome")
"""Columns to group by, as in `gateway.store.ledger.reports`, which needs SQLAlchemy."""
_BUCKETS = {"hour": 3600, "day": 86400}
_DEFAULT_DAYS = 30
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
    parser.add_argument("--client", metavar="ID", help="only calls of this key")
    parser.add_argument(
        "--format", choices=("table", "csv", "json"), default="table", help="output format (default: table)"
    )


def run(options: argparse.Namespace) -> int:
    """Print the sums. Raises ConfigError without a ledger."""
    by = [name for name in options.by.split(",") if name]
    if unknown := [name for name in by if name not in COLUMNS]:
        print(f"gateway usage: --by {unknown[0]}: expected one of {', '.join(COLUMNS)}", file=sys.stderr)
        return 2
    until = options.until or time() + 1
    since = options.since or (datetime.fromtimestamp(until, UTC) - timedelta(days=_DEFAULT_DAYS)).timestamp()
    bucket = _BUCKETS.get(options.bucket or "", 0)
    columns = [*(["start"] if bucket else []), *by, *_SUMS]
    engine = ledger_engine(options.config)
    from gateway.store.ledger.reports import usage  # after the check that its packages are installed

    rows = usage(engine, since, until, by, bucket, options.client)
    _print(columns, [_cells(row, columns) for row in rows], options.format)
    return 0


def _cells(row: Any, columns: list[str]) -> dict[str, Any]:
    """Return the printed value of each column."""
    derived = {
        "start": datetime.fromtimestamp(row.start, UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "dollars": round(row.micros / 1e6, 6),
    }
    return {name: derived[name] if name in derived else getattr(row, name) for name in columns}


def _day(text: str) -> float:
    """Parse YYYY-MM-DD as seconds since 1970."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise argparse.ArgumentTypeError(f"expected YYYY-MM-DD, got {text!r}")
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()


def _print(columns: list[str], rows: list[dict[str, Any]], form: str) -> None:
    if form == "json":
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
    elif form == "csv":
        writer = csv.DictWriter(sys.stdout, columns)
        writer.writeheader()
        writer.writerows(rows)
    else:
        cells = [columns, *([str(row[name]) for name in columns] for row in rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        for line in cells:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
