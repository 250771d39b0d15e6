"""Build step beside setup.cfg: write the commit into `gateway/commit.txt` of what is built, for `gateway --version`.

The commit is that of the environment variable GATEWAY_COMMIT, else of git, else of the source distribution.
"""

import os
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
NAME = "gateway/commit.txt"


def commit() -> str:
    """Return the commit of this source, or "unknown"."""
    if text := os.environ.get("GATEWAY_COMMIT", "").strip():
        return text
    if (ROOT / ".git").exists():
        # a checkout of another user is no fault here: `make install` is run by root
        describe = [
            "git",
            "-C",
            str(ROOT),
            "-c",
            "safe.directory=*",
            "describe",
            "--always",
            "--dirty",
            "--tags",
        ]
        try:
            result = subprocess.run(describe, capture_output=True, text=True, check=False)  # noqa: S603
        except OSError:
            return "unknown"
        return result.stdout.strip() or "unknown"
    written = ROOT / NAME
    return written.read_text("utf-8").strip() if written.exists() else "unknown"


def write(folder: str) -> None:
    """Write the commit below a folder."""
    path = Path(folder) / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # it may be a hard link to the source
    path.write_text(commit() + "\n", "utf-8")


class BuildPy(build_py):
    """Build of the package. An editable installation has no built files."""

    def run(self) -> None:
        """Build, then write the commit."""
        super().run()
        if not self.editable_mode:
            write(self.build_lib)


class Sdist(sdist):
    """Source distribution."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Copy the files, then write the commit."""
        super().make_release_tree(base_dir, files)
        write(base_dir)


setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
