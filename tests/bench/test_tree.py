"""Checkouts and environments of `make bench`."""

import sys
from pathlib import Path

import pytest

from bench import tree

_PYTHON = """#!/bin/sh
echo "$@" >>{log}
case "$*" in
  -c*) echo 3.11.2 /usr ;;
  "-m venv"*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
esac
"""


def test_a_commit_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"OLD=0123abc: this clone has no such commit"):
        tree.commit_tree("0123abc", sys.executable)


def test_an_environment_is_built_once_for_a_lock_and_a_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "FOLDER", tmp_path)
    monkeypatch.setattr(tree, "ROOT", tmp_path)
    log, python, lock = tmp_path / "log", tmp_path / "python", tmp_path / "requirements.lock"
    python.write_text(_PYTHON.format(log=log))
    python.chmod(0o755)

    lock.write_text("aiohttp==3")
    first = tree.environment(lock, str(python))
    again = tree.environment(lock, str(python))
    lock.write_text("aiohttp==4")
    other = tree.environment(lock, str(python))

    assert first == again != other
    commands = log.read_text().splitlines()
    assert [line.split()[1] for line in commands if line.startswith("-m")] == ["venv", "pip"] * 2
    assert [line for line in commands if "--require-hashes" in line and line.endswith(str(lock))]
