"""`gateway init`: write the commented configuration, its schema and a compose file into a folder."""

import argparse
import sys
from importlib.resources import files
from pathlib import Path

SHIPPED = files("gateway.config") / "shipped"
"""Folder of the files to write; in a checkout its entries are links into `config/`."""
NAMES = ("gateway.yaml", "gateway.schema.json", "compose.yaml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        metavar="DIR",
        nargs="?",
        type=Path,
        default=Path("."),
        help="folder to write into (default: .)",
    )
    parser.add_argument("--force", action="store_true", help="write over files that exist")


def run(options: argparse.Namespace) -> int:
    """Write the files, or none: return 1 if one exists, unless `--force` is given, or cannot be written."""
    paths = [options.folder / name for name in NAMES]
    existing = [str(path) for path in paths if path.exists() or path.is_symlink()]
    if existing and not options.force:
        print(
            f"gateway init: nothing was written: {', '.join(existing)} exists already; --force writes over it",
            file=sys.stderr,
        )
        return 1
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            with path.open("wb" if options.force else "xb") as file:
                file.write((SHIPPED / path.name).read_bytes())
    except OSError as error:
        print(f"gateway init: {error.filename}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print("\n".join(map(str, paths)))
    print(
        f"Edit {paths[0]}, then: gateway check --config {paths[0]} && gateway serve --config {paths[0]}",
        file=sys.stderr,
    )
    return 0
