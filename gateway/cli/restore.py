"""`gateway restore`: put the ledger and the state of a backup in the place of the present ones."""

import argparse
import os
import sys
from pathlib import Path

from gateway.cli.arguments import add_config
from gateway.config.load import load
from gateway.server.store_files import store_files
from gateway.store.backup.archive import BackupError
from gateway.store.backup.restore import Restored, restore, stores_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file to read, and what to restore of it."""
    add_config(parser)
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="file of `gateway backup`, or a copy NAME.vN.TIME of before an upgrade",
    )
    parser.add_argument(
        "--only",
        metavar="STORES",
        default="",
        help="comma-separated stores, such as ledger,responses (default: all)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="verify the file and the places, and change nothing"
    )


def run(options: argparse.Namespace) -> int:
    """Restore and print what was replaced. Return 1 if it cannot be done; then nothing has changed."""
    config, _ = load(options.config, lazy_secrets=True)
    only = [name for name in options.only.split(",") if name]
    try:
        files = store_files(config, os.environ, stores_of(options.file))
        restored = restore(options.file, files, only, dry=options.dry_run)
    except BackupError as error:
        print(f"gateway restore: {error}.", file=sys.stderr)
        return 1
    for entry in restored:
        print(_line(entry, dry=options.dry_run))
    if not options.dry_run:
        print(
            "Start the gateway again. Files that were kept aside can be deleted when it serves.",
            file=sys.stderr,
        )
    return 0


def _line(entry: Restored, *, dry: bool) -> str:
    verb = "would be restored" if dry else "restored"
    aside = (
        "" if entry.aside is None else f"; the file before {'would be' if dry else 'is'} {entry.aside.name}"
    )
    return f"{entry.file.name}: {entry.file.path} {verb}, {entry.size} bytes, schema {entry.version}{aside}"
