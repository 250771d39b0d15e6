"""`gateway rollback`: roll to a version that `make install` has put into service before."""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

_ACTIVATE = Path("share/gateway/systemd/activate.sh")
"""Writes the units of its own version, and rolls to it."""
_STAMP = "installed"
"""File in a version's folder; its time is that of the last `make install` of the version."""
_BEFORE = "before"
"""File in a version's folder with the name of the version that served when it was installed; empty if none did."""


class Version(NamedTuple):
    """One folder PREFIX/versions/VERSION-COMMIT."""

    folder: Path
    installed: float

    @property
    def name(self) -> str:
        return self.folder.name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "version", nargs="?", help="the version to roll to (default: the one that served before this)"
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="print the installed versions, newest first: * serves, < is that of a rollback without a version",
    )


def run(options: argparse.Namespace) -> int:
    """Roll to a version, or list them. Return 1 if there is none; nothing has changed then."""
    current = Path(sys.prefix)
    versions = installed(current.parent)
    if current not in [version.folder for version in versions]:
        print(
            f"{current} was not installed by `make install`: reinstall the former version in its own way",
            file=sys.stderr,
        )
        return 1
    if options.list:
        _print(versions, current)
        return 0
    target = _target(versions, current, options.version)
    if target is None:
        names = ", ".join(version.name for version in versions)
        wanted = (
            f"{options.version} is not installed"
            if options.version
            else f"no installed version served before {current.name}: name one"
        )
        print(f"{wanted}; there are: {names}", file=sys.stderr)
        return 1
    print(f"from {current.name} to {target.name}")
    return subprocess.run(["sh", str(target.folder / _ACTIVATE)], check=False).returncode  # noqa: S603, S607


def installed(folder: Path) -> list[Version]:
    """Return the versions in a folder whose installation was completed, newest first."""
    stamps = folder.glob(f"*/{_STAMP}")
    return sorted(
        (Version(path.parent, path.stat().st_mtime) for path in stamps), key=lambda item: -item.installed
    )


def _print(versions: list[Version], current: Path) -> None:
    before = _target(versions, current, None)
    for version in versions:
        mark = "*" if version.folder == current else "<" if version == before else " "
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(version.installed))
        print(f"{mark} {version.name}  {at}")


def _target(versions: list[Version], current: Path, name: str | None) -> Version | None:
    """Return the version of a name, otherwise the one that served before the current one was installed.

    A version that was rolled back from is never the latter: it served after the one that it was rolled back to.
    Without that record, which earlier checkouts did not make, it is the version that was installed before.
    """
    try:
        name = name or (current / _BEFORE).read_text().strip()
    except FileNotFoundError:
        at = next(version.installed for version in versions if version.folder == current)
        return next((version for version in versions if version.installed < at), None)
    return next((version for version in versions if version.name == name), None)
