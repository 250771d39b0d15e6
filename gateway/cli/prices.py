"""`gateway prices`: the prices by which calls are charged, and their differences from another list."""

import argparse
import re
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from time import time
from typing import Any

import msgspec

from gateway.cli.arguments import add_config
from gateway.cli.price_comparison import differences, read_prices
from gateway.config.load import load
from gateway.config.model_table import age, model_table
from gateway.config.prices import prices, successor_rows, successors
from gateway.config.sections import GatewayConfig
from gateway.errors import GatewayError
from gateway.policy.models.catalog import Catalog
from gateway.policy.models.pricing import Price, Prices
from gateway.policy.models.successors import is_alias, timestamp
from gateway.server.application import build_app

_FEW = ("input", "cached", "output")
"""Kinds with a column of their own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "model",
        nargs="*",
        help="models to show the price of (default: all rows of the table, and all successors)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of a table")
    parser.add_argument(
        "--on", type=_day, metavar="DATE", help="YYYY-MM-DD: prices of that day in UTC (default: today)"
    )
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="FILE",
        help="print what differs from a list of prices, with the exit code 1 if something does: the output of "
        "--json, YAML or JSON of `model: {input: 1, output: 4}` in dollars for a million tokens, or LiteLLM's "
        "model_prices_and_context_window.json",
    )


def run(options: argparse.Namespace) -> int:
    """Print the prices or the differences. Raises ConfigError with every mistake of the configuration."""
    config, source = load(options.config)
    build_app(config, source)
    table = prices(config.ledger, successors(config.models))
    at = time() if options.on is None else timestamp(options.on)
    if options.compare is not None:
        return _compare(options.compare, table, at, as_json=options.json)
    try:
        rows = list(_of(config, options.model, table, at) if options.model else _all(config, table, at))
    except GatewayError as error:
        print(f"gateway prices: {error}", file=sys.stderr)
        return 2
    if options.json:
        answer = {"date": str(model_table().date), "on": str(datetime.fromtimestamp(at, UTC).date())}
        print(msgspec.json.format(msgspec.json.encode({**answer, "prices": dict(rows)})).decode())
        return 0
    print(f"Prices of {datetime.fromtimestamp(at, UTC).date()}, in US dollars for a million tokens, from the table of "
          f"{table.version} ({age(time())} days old)\n")  # fmt: skip
    print("\n".join(_lines(rows)))
    return 0


def _compare(file: Path, table: Prices, at: float, *, as_json: bool) -> int:
    try:
        others = read_prices(file)
    except ValueError as error:
        print(f"gateway prices: {file}: {error}", file=sys.stderr)
        return 2
    results = list(differences(table, others, at))
    if as_json:
        print(msgspec.json.encode([difference._asdict() for difference in results]).decode())
    else:
        print(
            "\n".join(map(str, results))
            if results
            else f"All {len(others)} models of {file} have the same prices here."
        )
    return 1 if results else 0


def _of(config: GatewayConfig, names: list[str], table: Prices, at: float) -> Iterator[tuple[str, Any]]:
    """Yield the price of each name as a client sends it, with the model that answers for it.

    Raises BadRequest or NotFound for a name that the gateway refuses.
    """
    for name in names:
        model = Catalog(config.models).resolve(name).model
        answering = table.successors.of(model, at)
        also = {"answered_by": answering} if answering != name else {}
        known = {} if table.is_known(answering) else {"unknown": True}
        yield name, {**also, **known, **_fields(table.of(model, at))}


def _all(config: GatewayConfig, table: Prices, at: float) -> Iterator[tuple[str, Any]]:
    """Yield the rows that apply on the day or later, by pattern, and the names that others answer for."""
    for pattern, dated in table.rows_from(at):
        fields = [_fields(price) for price in dated]
        yield pattern, fields[0] if len(fields) == 1 else fields
    for name, row in successor_rows(config.models).items():
        if row.model != name:
            since = {"from": str(row.since)} if row.since is not None and not is_alias(name) else {}
            yield name, {"answered_by": row.model, **since, **({"own_price": True} if row.own_price else {})}


def _fields(price: Price) -> dict[str, Any]:
    """Return what a price states, as in the YAML."""
    fields: dict[str, Any] = msgspec.to_builtins(price)
    default = msgspec.to_builtins(Price())
    return {
        name: value
        for name, value in fields.items()
        if name in ("input", "output") or value not in (None, default[name])
    }


def _lines(rows: list[tuple[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table."""
    width = max((len(name) for name, _ in rows), default=0)
    yield f"{'model':<{width}}  {'input':>7} {'cached':>7} {'output':>7}  others"
    for name, dated in rows:
        for row in dated if isinstance(dated, list) else [dated]:
            numbers = " ".join(f"{_number(row.get(kind)):>7}" for kind in _FEW)
            others = [f"{kind} {_number(value)}".strip() for kind, value in row.items() if kind not in _FEW]
            yield f"{name:<{width}}  {numbers}  {', '.join(others)}".rstrip()


def _number(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {number:g}" for name, number in value.items())
    if value is None or value is True:
        return ""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _day(text: str) -> date:
    """Parse YYYY-MM-DD."""
    try:
        return date.fromisoformat(text if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else "")
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected YYYY-MM-DD, got {text!r}") from None
