"""uvx and pipx, with the wheel and with the checkout, as docs/start/try.md says. `make test-dist` installs both tools."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TOOLS = ROOT / ".venv-dist" / "bin"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (TOOLS / "uv").exists(), reason="make .venv-dist/.made has not been run"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        str(TOOLS / "pip"),
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
    ]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True, cwd=ROOT)
    (path,) = folder.glob("*.whl")
    return path


def run(*command: str, **environ: str) -> str:
    """Return the output of a command that must succeed."""
    done = subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_o09_uvx_answers_from_a_wheel_within_seconds(wheel: Path) -> None:
    """10 seconds on a warm cache of packages; the first run here fills it."""
    command = (
        str(TOOLS / "uvx"),
        "--from",
        str(wheel),
        "gateway",
        "demo",
        "--once",
        "--listen",
        "127.0.0.1:0",
    )
    run(*command)
    start = time.monotonic()

    assert "data: [DONE]" in run(*command)

    print(f"uvx: {time.monotonic() - start:.1f} s")
    assert time.monotonic() - start < 60


def test_o03_uvx_answers_from_a_checkout_by_the_name_of_the_distribution(wheel: Path) -> None:
    listen = ("demo", "--once", "--listen", "127.0.0.1:0")

    assert "data: [DONE]" in run(str(TOOLS / "uvx"), "--from", ".", "gateway", *listen)
    assert "data: [DONE]" in run(str(TOOLS / "uvx"), "--from", str(wheel), "gemini-openai-gateway", *listen)


@pytest.mark.parametrize("what", [".", ".[team]"])
def test_o09_pipx_installs_the_command(what: str, tmp_path: Path) -> None:
    places = {"PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    run(str(TOOLS / "pipx"), "install", what, **places)
    command = str(tmp_path / "bin" / "gateway")

    assert run(command, "--version").startswith("0.")
    assert run(command, "init", str(tmp_path / "site")).count("\n") == 3
    assert run(command, "check", "--config", str(tmp_path / "site" / "gateway.yaml")).endswith(": ok\n")
