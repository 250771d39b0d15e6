"""`gateway ledger`: move the ledger from SQLite to PostgreSQL."""

import argparse
import os
import sys
from pathlib import Path

from gateway.cli.arguments import add_config
from gateway.config.load import load
from gateway.errors import ConfigError
from gateway.server.stores import first_line, ledger_url, without_password

_NEXT = """\
Set in {config}, and start the gateway:
  ledger: {{url: "{url}", password: {{credential: postgres}}}}
{source} is left as it is: delete it when the gateway serves from PostgreSQL."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action move."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    text = "copy the ledger from SQLite to PostgreSQL: keys, budgets and calls, all or nothing, counted and compared"
    move = actions.add_parser("move", help=text, description=f"{text[0].upper()}{text[1:]}.")
    add_config(move)
    move.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="SQLite file of the ledger (default: that of the configuration)",
    )
    move.add_argument(
        "--to",
        required=True,
        type=_postgresql,
        metavar="URL",
        help="postgresql://USER@HOST/NAME, an empty database; the password is in PGPASSWORD or ledger.password",
    )


def _postgresql(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        raise argparse.ArgumentTypeError("expected postgresql://USER@HOST/NAME")
    return text


def run(options: argparse.Namespace) -> int:
    """Move the ledger and print what was moved. Return 1 if it cannot be done; then nothing has changed.

    Raises ConfigError if the configuration names no SQLite file.
    """
    config, source = load(options.config, lazy_secrets=True)
    file = str(options.source) if options.source is not None else ledger_url(config, os.environ)
    if file is None or "://" in file:
        message = "this configuration names no SQLite file to move: name it with --from"
        raise ConfigError((source.fault(("ledger", "url"), message),))
    if not Path(file).exists():
        print(f"gateway ledger: {file} does not exist: there is nothing to move", file=sys.stderr)
        return 1
    secret = config.ledger.password
    password = os.environ.get("PGPASSWORD") or (secret.reveal() if secret is not None else None)
    try:
        from gateway.store.ledger.move import move
        from gateway.store.ledger.tables import open_engine, postgresql_engine

        open_engine(file, None, report=_say).dispose()  # upgrades an old one
        moved = move(Path(file), postgresql_engine(options.to, password))
    except ImportError as error:
        print(
            f"gateway ledger: the package {error.name} is missing: in a checkout, pip install '.[team]'",
            file=sys.stderr,
        )
        return 1
    except Exception as error:  # noqa: BLE001 - database drivers raise exceptions of their own
        print(f"gateway ledger: nothing was moved: {first_line(error)}", file=sys.stderr)
        return 1
    for table, rows in moved.rows.items():
        print(
            f"{table}: {rows} rows, {'compared with those that were there already' if moved.again else 'compared'}"
        )
    if moved.changed:
        print(f"{moved.changed} values did not fit into PostgreSQL's columns and were cut", file=sys.stderr)
    print(_NEXT.format(config=source.file, url=without_password(options.to), source=file), file=sys.stderr)
    return 0


def _say(message: str) -> None:
    print(message, file=sys.stderr)
