"""`gateway backup`: copy the ledger and the state into one file."""

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from gateway import full_version
from gateway.cli.arguments import add_config
from gateway.config.load import NO_FILE, folder_of, load
from gateway.server.store_files import kept_elsewhere, store_files
from gateway.store.backup.archive import BackupError, write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file to write."""
    add_config(parser)
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="new tar file, compressed if its name ends in .gz; only its owner can read it",
    )


def run(options: argparse.Namespace) -> int:
    """Write the backup and print its contents. Return 1 if it cannot be made; then there is no file."""
    config, source = load(options.config, lazy_secrets=True)
    files, notes = store_files(config, os.environ), kept_elsewhere(config, os.environ, folder_of(source))
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        manifest = write(options.file, files, full_version(), created, notes)
    except BackupError as error:
        for sentence in (f"gateway backup: {error} ({source.file}).", *notes):
            print(sentence, file=sys.stderr)
        return 1
    contents = {file.name: file.contents for file in files}
    for entry in manifest.stores:
        print(f"{entry.store}: {contents[entry.store]}, {entry.bytes} bytes, schema {entry.schema}")
    print(f"{options.file}: written")
    if source.file != NO_FILE:
        notes.append(f"Not in it: {source.file} and the secrets that it names. Copy them, too.")
    for note in notes:
        print(note, file=sys.stderr)
    return 0
