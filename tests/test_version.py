"""The version with its commit: in a checkout, in what is built, and in a source distribution."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import __version__, commit, full_version
from tests.support.paths import ROOT

_ASK = "import gateway; print(gateway.__file__, gateway.full_version(), sep='\\n')"


def git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), "-c", "safe.directory=*", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
def test_o19_a_checkout_names_its_commit() -> None:
    assert commit() == git("describe", "--always", "--dirty", "--tags")
    assert full_version() == f"{__version__} ({commit()})"


@pytest.mark.parametrize(
    ("environ", "expected"), [({"GATEWAY_COMMIT": "v9-3-gabc"}, "v9-3-gabc"), ({}, "git")]
)
def test_o19_what_is_built_names_its_commit_and_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], expected: str
) -> None:
    if expected == "git":
        expected = commit()
    monkeypatch.delenv("GATEWAY_COMMIT", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    target = tmp_path / "built"
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(target)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    monkeypatch.setenv("PATH", "")  # no git
    shown = subprocess.run(
        [sys.executable, "-c", _ASK], cwd=target, capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert shown == [str(target / "gateway" / "__init__.py"), f"{__version__} ({expected})"]
    assert not (ROOT / "gateway" / "commit.txt").exists()


def test_o19_a_source_without_git_keeps_the_commit_that_was_written_into_it(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "built"
    source.mkdir()
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    (source / "gateway").mkdir()
    shutil.copy(ROOT / "gateway" / "__init__.py", source / "gateway")
    (source / "gateway" / "commit.txt").write_text("v9-sdist\n")
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(target)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)

    assert (target / "gateway" / "commit.txt").read_text() == "v9-sdist\n"
    assert (source / "gateway" / "commit.txt").read_text() == "v9-sdist\n"


def test_without_git_and_without_a_build_it_is_unknown(tmp_path: Path) -> None:
    package = tmp_path / "gateway"
    package.mkdir()
    (package / "__init__.py").write_text((ROOT / "gateway" / "__init__.py").read_text())
    shown = subprocess.run(
        [sys.executable, "-c", _ASK], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert shown.stdout.splitlines()[1] == f"{__version__} (unknown)"
