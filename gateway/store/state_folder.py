"""The folder of what the gateway keeps in files."""

from collections.abc import Mapping
from pathlib import Path


def state_path(file: str, environ: Mapping[str, str]) -> Path:
    """Return the path of `state.file`: a relative one is below systemd's STATE_DIRECTORY or the working directory."""
    # systemd.exec(5): several are joined by colons
    directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(directory or Path.cwd()) / file
