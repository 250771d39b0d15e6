"""Folders of the files that the gateway keeps."""

from collections.abc import Mapping
from pathlib import Path


def state_path(file: str, environ: Mapping[str, str], beside: Path | None = None) -> Path:
    """Return the path of a file: a relative one is below systemd's STATE_DIRECTORY, or `beside`, the YAML's folder.

    Without either it is below the working directory.
    """
    # systemd.exec(5): several are joined by colons
    directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(directory or beside or Path.cwd()) / file


def data_folder(
    path: str | None, name: str, environ: Mapping[str, str], beside: Path | None = None
) -> Path | None:
    """Return the folder of a plugin's data: `path`, or `name` below STATE_DIRECTORY; None without either."""
    if path is None and not environ.get("STATE_DIRECTORY"):
        return None
    return state_path(path or name, environ, beside)
