"""`gateway connect`: print, write or take out what a program needs to use the gateway."""

import argparse
import os
import sys

from gateway.cli.connect import files, hints
from gateway.cli.connect.arguments import program, root, word
from gateway.cli.connect.clients import CLIENTS, Client
from gateway.cli.connect.edits import ByHand, CannotEdit
from gateway.cli.connect.places import Home
from gateway.cli.connect.places import home as home_of
from gateway.cli.connect.settings import Settings, page
from gateway.policy.models.catalog import ModelsConfig

_KEY = "GATEWAY_API_KEY"
_NO_KEY = "YOUR_KEY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("client", nargs="?", type=program, metavar="PROGRAM", help=", ".join(CLIENTS))
    parser.add_argument(
        "--url",
        type=root,
        default="http://127.0.0.1:8080",
        help="base URL of the gateway, such as https://gateway.example.com (default: %(default)s)",
    )
    parser.add_argument(
        "--key",
        type=word,
        help=f"API key for the gateway (default: ${_KEY}; the command line is seen by others)",
    )
    parser.add_argument(
        "--model", type=word, default=ModelsConfig().default, help="model to use (default: %(default)s)"
    )
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--write", action="store_true", help="write the settings into the program's files")
    change.add_argument("--undo", action="store_true", help="take out what --write has written")


def run(options: argparse.Namespace) -> int:
    """Print the settings, write them or take them out. Return 1 if a file cannot be changed, 2 for wrong arguments."""
    if options.client is None:
        if options.write or options.undo:
            return _refuse(f"name the program, one of {', '.join(CLIENTS)}")
        for client in CLIENTS.values():
            print(f"{client.name:<15}{client.title} ({client.surface})")
        return 0
    client, home = CLIENTS[options.client], home_of(os.environ)
    if options.undo:
        return _undo(client, home)
    try:
        key = options.key or word(os.environ.get(_KEY) or _NO_KEY)
    except argparse.ArgumentTypeError as error:
        return _refuse(f"{_KEY}: {error}")
    settings = Settings(options.url, key, options.model)
    if not options.write:
        print(page(client, settings, home), end="")
        return 0
    if key == _NO_KEY:
        return _refuse(f"--write needs the key: set {_KEY}, or give --key")
    return _write(client, settings, home)


def _refuse(message: str) -> int:
    print(f"gateway connect: {message}.", file=sys.stderr)
    return 2


def _write(client: Client, settings: Settings, home: Home) -> int:
    try:
        changes = files.write(client, settings, home)
    except CannotEdit as error:
        print(f"gateway connect: {error}. Nothing was changed.", file=sys.stderr)
        if isinstance(error, ByHand):
            text = page(client, Settings(settings.url, _NO_KEY, settings.model), home)
            print(
                f"\nTo add by hand, with the key in the place of {_NO_KEY}:\n\n{text}",
                end="",
                file=sys.stderr,
            )
        return 1
    for change in changes:
        print(f"written: {change.path}")
        if change.note:
            print(change.note)
    for line in hints.after_write(client, settings, home):
        print(line)
    return 0


def _undo(client: Client, home: Home) -> int:
    try:
        changes = files.undo(client, home)
    except CannotEdit as error:
        print(f"gateway connect: {error}. Nothing was changed.", file=sys.stderr)
        return 1
    for change in changes:
        print(f"taken out: {change.path}")
        if change.note:
            print(change.note)
    if not changes:
        print("There is nothing to take out.")
    return 0
