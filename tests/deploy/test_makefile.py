"""`make demo` and `make run`: an environment with the runtime's packages alone, and an answer within seconds."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()


def commands(*targets: str) -> str:
    """Return the commands that make would run in a fresh checkout."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", *targets], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("target", ["demo", "run"])
def test_o09_the_first_answer_needs_no_tools_for_development(target: str) -> None:
    planned = commands(target)

    assert re.findall(r"-r (\S+\.lock)", planned) == ["requirements.lock"]
    assert ".venv/" not in planned
    assert "--require-hashes" in planned


def test_the_tests_keep_the_environment_for_development() -> None:
    planned = commands("test")

    assert re.findall(r"-r (\S+\.lock)", planned) == ["requirements-dev.lock"]
    assert ".venv-run" not in planned


@pytest.mark.parametrize("target", ["demo", "dev"])
def test_an_old_python_is_told(target: str, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)

    done = subprocess.run(
        ["make", "--always-make", target, f"PYTHON={old}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "gateway needs Python 3.11 or newer; this is Python 3.9.2" in done.stdout


@pytest.mark.slow
def test_o09_the_demo_answers_in_a_fresh_checkout_and_shows_its_progress(tmp_path: Path) -> None:
    """20 seconds on a warm cache of packages; a machine that is busy or has to download gets more here."""
    checkout = tmp_path / "gateway"
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "gateway", "config", "Makefile", "setup.cfg", "setup.py", "pyproject.toml",
         "README.md", "LICENSE", "requirements.lock"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in names:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name, follow_symlinks=False)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    start = time.monotonic()

    done = subprocess.run(
        ["make", "demo", "ONCE=1", "PORT=0"],
        cwd=checkout,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )

    print(f"make demo: {time.monotonic() - start:.1f} s")
    assert time.monotonic() - start < 120
    lines = done.stdout.splitlines()
    steps = [line for line in lines if re.match(r"\d/3 ", line)]
    assert [line[:3] for line in steps] == ["1/3", "2/3", "3/3"]
    assert any(line.strip().startswith("aiohttp==") for line in lines)
    assert "data: [DONE]" in lines
    assert not (checkout / ".venv").exists()
