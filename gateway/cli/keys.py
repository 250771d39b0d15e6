"""`gateway keys`: issue, list, change, rotate and revoke clients' keys, and put back keys of the pool."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.cli.admin_client import post
from gateway.cli.arguments import add_config, amount, count
from gateway.cli.key_list import print_keys
from gateway.cli.key_names import UnknownKey, key_named
from gateway.cli.tables import print_json
from gateway.config.capabilities import capability_table
from gateway.config.load import load
from gateway.config.prices import prices, successors
from gateway.errors import ConfigError
from gateway.exchange.calls.cost import MOST_OUTPUT
from gateway.exchange.calls.reservation_notes import small_budgets
from gateway.policy.clients.client_rules import Rules
from gateway.policy.models.catalog import excluded_defaults
from gateway.server.stores import open_ledger

if TYPE_CHECKING:
    from sqlalchemy import Engine

_PERIODS = ("day", "month", "total")
_LIMITS = {
    "requests_per_minute": "requests in any minute",
    "requests_per_day": "requests in any 24 hours",
    "tokens_per_minute": "tokens in any minute",
    "tokens_per_day": "tokens in any 24 hours",
    "streams": "requests in progress at once, streamed or not",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions add, list, revoke, rotate, rules and put-back."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    add = _action(actions, "add", _add, "issue a key and print it; it cannot be shown again")
    add.add_argument("name", help="display name of the key")
    add.add_argument("--days", type=amount, metavar="N", help="days until the key expires (default: never)")
    _add_rules(add)
    _action(
        actions,
        "list",
        _list,
        "list keys, newest first: state, last use, what is spent and left. Days and months are UTC's",
    )
    revoke = _action(
        actions,
        "revoke",
        _revoke,
        "revoke a key; every machine refuses it within a second, while it can read the ledger",
    )
    rotate = _action(
        actions,
        "rotate",
        _rotate,
        "replace a key by a new one, which keeps its rules and budgets; the old one ends at once",
    )
    rules = _action(
        actions,
        "rules",
        _rules,
        "replace all rules of a key; each option that is left out is removed (no limit, all models)",
    )
    for sub_parser in (revoke, rotate, rules):
        sub_parser.add_argument(
            "key", metavar="KEY", help="id or name of the key, as `gateway keys list` shows them"
        )
    _add_rules(rules)
    put_back = _action(
        actions,
        "put-back",
        _put_back,
        "use a Gemini key of the pool again that Google has refused, or a project with all its keys",
    )
    put_back.add_argument("project", help="name of the project")
    put_back.add_argument(
        "key_id",
        nargs="?",
        default="",
        metavar="KEY",
        help="id of the key, as the log and /admin/pool show it",
    )


def run(options: argparse.Namespace) -> int:
    """Run the action. Return 2 for a key that does not exist. Raises ConfigError without a ledger."""
    action: Callable[[argparse.Namespace], int] = options.action
    try:
        return action(options)
    except UnknownKey as error:
        print(f"gateway keys: {error}", file=sys.stderr)
        return 2


def _action(actions: Any, name: str, action: Callable[..., int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}."
    )
    add_config(parser)
    if action is not _put_back:
        parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(action=action)
    return parser


def _add_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", metavar="PATTERNS", help="comma-separated patterns of allowed models (default: all)"
    )
    parser.add_argument(
        "--cache",
        type=amount,
        metavar="SECONDS",
        help="cache answers to identical requests for so many seconds, at most cache.seconds"
        " (default: only if a request asks for it)",
    )
    parser.add_argument(
        "--alias",
        action="append",
        default=[],
        metavar="NAME=MODEL",
        help="another name for a model; repeatable",
    )
    for limit, text in _LIMITS.items():
        parser.add_argument(
            f"--{limit.replace('_', '-')}", type=count, metavar="N", help=f"maximum of {text}"
        )
    for period in _PERIODS:
        when = "in total" if period == "total" else f"per {period} (UTC)"
        parser.add_argument(
            f"--dollars-{period}", type=amount, metavar="USD", help=f"hard budget in US dollars {when}"
        )
        parser.add_argument(
            f"--budget-tokens-{period}", type=count, metavar="N", help=f"hard budget in tokens {when}"
        )


def rules_of(options: argparse.Namespace) -> Rules:
    """Return the rules of a command line. Raises ValueError or msgspec.ValidationError for invalid ones."""
    fields: dict[str, Any] = {
        name: getattr(options, name) for name in _LIMITS if getattr(options, name) is not None
    }
    if options.cache is not None:
        fields["cache"] = options.cache
    if options.models:
        fields["models"] = options.models.split(",")
    for pair in options.alias:
        if "=" not in pair:
            raise ValueError(f"--alias {pair}: expected NAME=MODEL")
    fields["aliases"] = dict(pair.split("=", 1) for pair in options.alias)
    for field, option in (("dollars", "dollars"), ("tokens", "budget_tokens")):
        budgets = {period: getattr(options, f"{option}_{period}") for period in _PERIODS}
        fields[field] = {period: value for period, value in budgets.items() if value is not None}
    return msgspec.convert(fields, Rules)


def ledger_engine(path: Path | None) -> "Engine":
    """Return the database of the ledger that a configuration names. Raises ConfigError if it names none."""
    config, source = load(path, lazy_secrets=True)
    ledger = open_ledger(config, source, lambda message: print(message, file=sys.stderr))
    if ledger is None:
        message = "keys and usage are in the ledger, and this configuration has none: set ledger.url or pool.projects"
        raise ConfigError((source.fault(("ledger", "url"), message),))
    return ledger.engine


def _add(options: argparse.Namespace) -> int:
    try:
        rules = rules_of(options)
        if not options.name.strip():
            raise ValueError("the name of a key cannot be empty")
    except (ValueError, msgspec.ValidationError) as error:
        print(f"gateway keys: {error}", file=sys.stderr)
        return 2
    expires = time() + options.days * 86400 if options.days is not None else None
    engine = ledger_engine(options.config)
    from gateway.store.ledger.client_keys import issue, issued

    same = [key.id for key in issued(engine) if key.name == options.name[:80] and key.revoked is None]
    key_id, key = issue(engine, options.name, rules, time(), expires)
    if options.json:
        print_json({"id": key_id, "name": options.name, "key": key, "notes": _notes(options, rules, same)})
        return 0
    database = engine.url.render_as_string(hide_password=True)
    print(f"{key_id}: the key cannot be shown again; its hash and rules are in {database}", file=sys.stderr)
    print(key)
    _notes(options, rules, same)
    return 0


def _notes(options: argparse.Namespace, rules: Rules, same: Sequence[str] = ()) -> list[str]:
    """Print and return what the holder of a key with these rules may stumble over. `same` are keys of its name."""
    config, source = load(options.config, lazy_secrets=True)
    model, at, successor = config.models.default, time(), successors(config.models)
    output = (
        capability_table(config.abilities, source).of(successor.of(model, at)).output_tokens or MOST_OUTPUT
    )
    notes = excluded_defaults(config.models, rules)
    notes += small_budgets(rules, model, output, prices(config.ledger, successor), at)
    if same:
        notes.append(
            f"There is another key of this name ({', '.join(same)}): revoke, rotate and rules need the id of one."
        )
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return notes


def _list(options: argparse.Namespace) -> int:
    engine = ledger_engine(options.config)
    from gateway.store.ledger.key_reports import key_reports

    print_keys(key_reports(engine, time()), as_json=options.json)
    return 0


def _named(options: argparse.Namespace) -> "tuple[Engine, str]":
    """Return the ledger, and the id of the key that the command names. Raises UnknownKey."""
    engine = ledger_engine(options.config)
    from gateway.store.ledger.client_keys import issued

    return engine, key_named(issued(engine), options.key).id


def _revoke(options: argparse.Namespace) -> int:
    engine, key_id = _named(options)
    from gateway.store.ledger.client_keys import revoke

    ended = "is revoked; every machine refuses it within a second"
    return _result(options, revoke(engine, key_id, time()), key_id, ended)


def _rotate(options: argparse.Namespace) -> int:
    engine, key_id = _named(options)
    from gateway.store.ledger.client_keys import rotate

    key = rotate(engine, key_id)
    if key is not None and not options.json:
        print(key)
    replaced = "has a new key, which cannot be shown again; the old one has ended, rules and budgets stay"
    return _result(options, key is not None, key_id, replaced, key=key)


def _rules(options: argparse.Namespace) -> int:
    try:
        rules = rules_of(options)
    except (ValueError, msgspec.ValidationError) as error:
        print(f"gateway keys: {error}", file=sys.stderr)
        return 2
    engine, key_id = _named(options)
    from gateway.store.ledger.client_keys import change

    done = change(engine, key_id, rules)
    return _result(
        options, done, key_id, "has new rules, in place of all former ones", notes=_notes(options, rules)
    )


def _put_back(options: argparse.Namespace) -> int:
    config, _ = load(options.config, lazy_secrets=True)
    body = {"project": options.project, "key_id": options.key_id}
    fault = post(config.admin, "/admin/pool/put_back", body)
    if fault is not None:
        print(f"gateway keys: {fault}", file=sys.stderr)
    return 0 if fault is None else 1


def _result(options: argparse.Namespace, done: bool, key_id: str, message: str, **more: object) -> int:
    """Print what happened to a key, or JSON. Return the exit code, 1 with a message if the key has been revoked."""
    if not done:
        print(f"gateway keys: {key_id} has been revoked", file=sys.stderr)
    elif options.json:
        print_json({"id": key_id, **more})
    else:
        name = "" if options.key == key_id else f" ({options.key})"
        print(f"{key_id}{name} {message}", file=sys.stderr)
    return 0 if done else 1
