"""Checkouts of commits with environments of their own, below build/bench/."""

import hashlib
import subprocess
from pathlib import Path

from bench.servers import ROOT, Tree

FOLDER = ROOT / "build" / "bench"
_INSTALL = (
    "-m",
    "pip",
    "install",
    "-qq",
    "--disable-pip-version-check",
    "--require-hashes",
    "--no-deps",
    "-r",
)


def this_tree(python: str) -> Tree:
    """Return this tree with an environment of what the gateway needs, for one Python."""
    return Tree(ROOT, environment(ROOT / "requirements.lock", python))


def commit_tree(commit: str, python: str) -> Tree:
    """Return a commit's tree with its own environment. Raises ValueError if there is no such commit."""
    try:
        name = (
            _output("git", "-C", ROOT, "rev-parse", "--verify", "-qq", f"{commit}^{{commit}}")
            .decode()
            .strip()
        )
    except subprocess.CalledProcessError:
        raise ValueError(f"OLD={commit}: this clone has no such commit") from None
    folder = FOLDER / name[:12]
    if not folder.exists():
        folder.mkdir(parents=True)
        archive = _output("git", "-C", ROOT, "archive", name)
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
    return Tree(folder, environment(folder / "requirements.lock", python))


def environment(lock: Path, python: str) -> str:
    """Return the Python of a virtual environment with a lock's packages, which is built if there is none."""
    version = _output(python, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.base_prefix)")
    digest = hashlib.sha256(lock.read_bytes() + version).hexdigest()[:12]
    folder = FOLDER / f"venv-{version.split()[0].decode()}-{digest}"
    made = folder / ".made"
    if not made.exists():
        print(f"building {folder.relative_to(ROOT)} from {lock.name}")
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin" / "python", *_INSTALL, lock], check=True)
        made.touch()
    return str(folder / "bin" / "python")


def _output(*command: object) -> bytes:
    return subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True).stdout
