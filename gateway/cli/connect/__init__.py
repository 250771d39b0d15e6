"""`gateway connect`: print, write or take out what a program needs to use the gateway."""

import argparse
import os
import re
import sys
from pathlib import Path

from gateway.cli.arguments import base_url
from gateway.cli.connect import files
from gateway.cli.connect.clients import CLIENTS, Client
from gateway.cli.connect.edits import CannotEdit
from gateway.cli.connect.settings import Settings, page
from gateway.policy.catalog import ModelsConfig

_KEY = "GATEWAY_API_KEY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("client", nargs="?", choices=CLIENTS, metavar="PROGRAM", help=", ".join(CLIENTS))
    parser.add_argument(
        "--url",
        type=_root,
        default="http://127.0.0.1:8080",
        help="base URL of the gateway, such as https://gateway.example.com (default: %(default)s)",
    )
    parser.add_argument(
        "--key",
        type=_word,
        help=f"API key for the gateway (default: ${_KEY}; the command line is seen by others)",
    )
    parser.add_argument(
        "--model", type=_word, default=ModelsConfig().default, help="model to use (default: %(default)s)"
    )
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--write", action="store_true", help="write the settings into the program's files")
    change.add_argument("--undo", action="store_true", help="take out what --write has written")


def run(options: argparse.Namespace) -> int:
    """Print the settings, write them or take them out. Return 1 if a file cannot be changed, 2 without a key."""
    if options.client is None:
        for client in CLIENTS.values():
            print(f"{client.name:<15}{client.title} ({client.surface})")
        return 0
    client = CLIENTS[options.client]
    home = Path(os.environ.get("HOME") or Path.home())
    try:
        if options.undo:
            return _undo(client, home)
        key = options.key or os.environ.get(_KEY) or ""
        if options.write:
            if not key:
                print(f"gateway connect: --write needs the key: set {_KEY}, or give --key.", file=sys.stderr)
                return 2
            return _write(client, Settings(options.url, _word(key), options.model), home)
    except CannotEdit as error:
        print(f"gateway connect: {error}. Nothing was changed.", file=sys.stderr)
        return 1
    print(page(client, Settings(options.url, key or "YOUR_KEY", options.model)), end="")
    return 0


def _write(client: Client, settings: Settings, home: Path) -> int:
    changed = files.write(client, settings, home, os.environ.get("SHELL", ""))
    for path in changed:
        print(f"written: {path}")
    if client.environment:
        print("The variables are set in a new shell.")
    for step in client.steps:
        print(f"by hand: {settings.fill(step.replace('`{key}`', 'the key'))}")
    if client.attempt:
        print(f"To try it: {client.attempt}")
    return 0


def _undo(client: Client, home: Path) -> int:
    changed = files.undo(client, home, os.environ.get("SHELL", ""))
    for path in changed:
        print(f"taken out: {path}")
    if not changed:
        print("There is nothing to take out.")
    return 0


def _root(text: str) -> str:
    """Return a base URL without `/v1` and final slashes."""
    return _word(re.sub(r"(/v1)?/*\Z", "", base_url(text)))


def _word(text: str) -> str:
    """Return a text that needs no quotes in any of the files. Raises ArgumentTypeError for another."""
    if not re.fullmatch(r"[\w.:/@%+=~\[\]-]{1,500}", text, re.ASCII):
        raise argparse.ArgumentTypeError("expected letters, digits and . : / @ % + = ~ _ - only")
    return text
