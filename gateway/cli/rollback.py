"""`gateway rollback`: roll to a version that `make install` has installed before."""

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


class Version(NamedTuple):
    """One folder PREFIX/versions/VERSION-COMMIT."""

    folder: Path
    installed: float

    @property
    def name(self) -> str:
        return self.folder.name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "version", nargs="?", help="the version to roll to (default: the one installed before this)"
    )
    parser.add_argument("--list", action="store_true", help="print the installed versions, newest first")


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
        for version in versions:
            at = time.strftime("%Y-%m-%d %H:%M", time.localtime(version.installed))
            print(f"{'*' if version.folder == current else ' '} {version.name}  {at}")
        return 0
    target = _target(versions, current, options.version)
    if target is None:
        names = ", ".join(version.name for version in versions)
        wanted = (
            f"{options.version} is not installed"
            if options.version
            else f"nothing was installed before {current.name}"
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


def _target(versions: list[Version], current: Path, name: str | None) -> Version | None:
    """Return the version of a name, otherwise the one that was installed before the current one."""
    if name is not None:
        return next((version for version in versions if version.name == name), None)
    at = next(version.installed for version in versions if version.folder == current)
    return next((version for version in versions if version.installed < at), None)
