"""`gateway keys` and `gateway usage`: what an operator does with the ledger from a shell."""

import argparse
import csv
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from typing import Any

import msgspec

from gateway.errors import ConfigError
from gateway.policy.client_rules import Rules

_PERIODS = ("day", "month", "total")
_LIMITS = ("requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day", "streams")
_BY = ("client", "project", "model", "surface", "outcome")


def add_commands(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """`keys add|list|revoke|rotate|rules` and `usage`."""
    parent = commands.add_parser("keys", help="issue keys to clients, list and revoke them")
    actions = parent.add_subparsers(required=True, metavar="ACTION")
    made = command(actions, "add", _add, "issue a key: it is shown this once")
    made.add_argument("name", help="whose it is, for people")
    made.add_argument("--days", type=_amount, help="until it expires")
    _rules_of(made)
    command(actions, "list", _list, "issued keys, newest first")
    for name, run, told in (
        ("revoke", _revoke, "end a key, on every machine within a second"),
        ("rotate", _rotate, "another key in place of an old one, which ends at once; rules and budgets stay"),
    ):
        command(actions, name, run, told).add_argument("id")
    changed = command(actions, "rules", _change, "give a key other rules, in place of all it had")
    changed.add_argument("id")
    _rules_of(changed)
    report = command(commands, "usage", _usage, "sums of calls, tokens and money from the ledger")
    report.add_argument("--since", type=_day, help="YYYY-MM-DD, UTC; the last 30 days when it is not said")
    report.add_argument("--until", type=_day, help="YYYY-MM-DD, not included")
    report.add_argument("--by", default="client,model", help=f"of {', '.join(_BY)}; client,model")
    report.add_argument("--bucket", choices=("hour", "day"), help="sums for each")
    report.add_argument("--client", help="only this key's id")
    report.add_argument("--format", choices=("table", "csv", "json"), default="table")


def _rules_of(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", help="patterns of models it may ask, with commas")
    parser.add_argument(
        "--cache", type=_amount, metavar="SECONDS", help="keep answers for the same call so long"
    )
    parser.add_argument("--alias", action="append", default=[], metavar="NAME=MODEL")
    for limit in _LIMITS:
        parser.add_argument(f"--{limit.replace('_', '-')}", type=_count, metavar="N")
    for period in _PERIODS:
        parser.add_argument(f"--dollars-{period}", type=_amount, metavar="USD", help="a budget that is hard")
        parser.add_argument(f"--budget-tokens-{period}", type=_count, metavar="N", help="the same in tokens")


def rules(options: argparse.Namespace) -> Rules:
    """The rules that a command line gives. Raises ValueError for what cannot be."""
    given: dict[str, Any] = {
        name: getattr(options, name) for name in _LIMITS if getattr(options, name) is not None
    }
    if options.cache is not None:
        given["cache"] = options.cache
    if options.models:
        given["models"] = options.models.split(",")
    for pair in options.alias:
        if "=" not in pair:
            raise ValueError(f"--alias {pair}: expected NAME=MODEL")
    given["aliases"] = dict(pair.split("=", 1) for pair in options.alias)
    for field, flag in (("dollars", "dollars"), ("tokens", "budget_tokens")):
        found = {period: getattr(options, f"{flag}_{period}") for period in _PERIODS}
        given[field] = {period: value for period, value in found.items() if value is not None}
    return msgspec.convert(given, Rules)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected a whole number that is not negative, got {text!r}")
    return int(text)


def _amount(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number that is not negative, got {text!r}")
    return found


def _day(text: str) -> float:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise argparse.ArgumentTypeError(f"expected YYYY-MM-DD, got {text!r}")
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()


def _engine(path: Path) -> Any:
    """The ledger's database of a configuration. Raises ConfigError when there is none."""
    from gateway.server.serving import load
    from gateway.server.stores import open_ledger

    config, source = load(path)
    ledger = open_ledger(config, source, lambda told: print(told, file=sys.stderr))
    if ledger is None:
        told = "there is no ledger to keep keys in: give ledger.url, or pool.projects"
        raise ConfigError((source.fault(("ledger", "url"), told),))
    return ledger.engine


def _add(options: argparse.Namespace) -> int:
    from gateway.store.ledger.client_keys import issue

    try:
        wanted = rules(options)
        if not options.name.strip():
            raise ValueError("a key needs a name, for people to know whose it is")
    except (ValueError, msgspec.ValidationError) as error:
        print(f"gateway keys: {error}", file=sys.stderr)
        return 2
    expires = time() + options.days * 86400 if options.days is not None else None
    made = _engine(options.config)
    key_id, key = issue(made, options.name, wanted, time(), expires)
    where = made.url.render_as_string(hide_password=True)
    print(f"{key_id}: this key is shown once and kept nowhere; its rules are in {where}", file=sys.stderr)
    print(key)
    return 0


def _list(options: argparse.Namespace) -> int:
    from gateway.store.ledger.client_keys import issued

    now = time()
    for key in issued(_engine(options.config)):
        state = key.fault(now) or "good"
        told = msgspec.json.encode(key.rules).decode()
        print(
            f"{key.id}  {datetime.fromtimestamp(key.created, UTC):%Y-%m-%d}  {state:<8} {key.name:<20} {told}"
        )
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from gateway.store.ledger.client_keys import revoke

    return _said(revoke(_engine(options.config), options.id, time()), options.id)


def _rotate(options: argparse.Namespace) -> int:
    from gateway.store.ledger.client_keys import rotate

    key = rotate(_engine(options.config), options.id)
    if key is not None:
        print(key)
    return _said(key is not None, options.id)


def _change(options: argparse.Namespace) -> int:
    from gateway.store.ledger.client_keys import change

    return _said(change(_engine(options.config), options.id, rules(options)), options.id)


def _said(done: bool, key_id: str) -> int:
    if not done:
        print(f"gateway keys: there is no key {key_id!r}, or it has been revoked", file=sys.stderr)
    return 0 if done else 1


def _usage(options: argparse.Namespace) -> int:
    from gateway.store.ledger.reports import usage

    by = [name for name in options.by.split(",") if name]
    if unknown := [name for name in by if name not in _BY]:
        print(f"gateway usage: --by {unknown[0]}: one of {', '.join(_BY)}", file=sys.stderr)
        return 2
    until = options.until or time() + 1
    since = options.since or (datetime.fromtimestamp(until, UTC) - timedelta(days=30)).timestamp()
    bucket = {"hour": 3600, "day": 86400}.get(options.bucket or "", 0)
    rows = usage(_engine(options.config), since, until, by, bucket, options.client)
    columns = [
        *(["start"] if bucket else []),
        *by,
        "calls",
        "prompt",
        "cached",
        "completion",
        "thoughts",
        "searches",
        "dollars",
    ]
    told = [
        {
            **{name: getattr(row, name) for name in columns if name not in ("start", "dollars")},
            "start": datetime.fromtimestamp(row.start, UTC).strftime("%Y-%m-%dT%H:%MZ"),
            "dollars": round(row.micros / 1e6, 6),
        }
        for row in rows
    ]
    _print(columns, [{name: row[name] for name in columns} for row in told], options.format)
    return 0


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
