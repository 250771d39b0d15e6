"""config/package/install.sh: it shows its plan, checks the files, and changes nothing before."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SCRIPT = ROOT / "config" / "package" / "install.sh"
PROGRAM = "gateway-0.1.0-linux_x86_64.pyz"
DEB = "gemini-openai-gateway_0.1.0_amd64.deb"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder as `make dist` leaves it, with a program that prints its arguments."""
    folder = tmp_path / "dist"
    folder.mkdir()
    program = folder / PROGRAM
    source = tmp_path / "source" / "site-packages" / "gateway"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("")
    (tmp_path / "source" / "__main__.py").write_text("import sys\nprint('program', *sys.argv[1:])\n")
    import zipapp

    zipapp.create_archive(tmp_path / "source", program, "/usr/bin/env python3")
    (folder / DEB).write_bytes(b"deb")
    shutil.copy(SCRIPT, folder / "install.sh")
    names = (PROGRAM, DEB, "install.sh")
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


def install(folder: Path, *arguments: str, user: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the script of a folder, as a user without root's rights where the system has one to be."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    shim = folder.parent / "bin"
    shim.mkdir(exist_ok=True)
    (shim / "id").write_text(f"#!/bin/sh\necho {1000 if user else 0}\n")
    (shim / "id").chmod(0o755)
    environ = {"HOME": str(home), "PATH": f"{shim}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", str(folder / "install.sh"), *arguments], env=environ, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, cwd=folder.parent,
    )  # fmt: skip


def test_a_dry_run_shows_the_plan_and_changes_nothing(files: Path) -> None:
    done = install(files, "--dry-run")
    target = files.parent / "home" / ".local" / "bin" / "gateway"

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"install.sh: {PROGRAM}: the SHA-256 is that of SHA256SUMS"
    assert lines[1] == f"install.sh: plan: copy {PROGRAM} to {target}, and nothing else"
    assert lines[-2] == "install.sh: --dry-run: nothing was changed"
    assert lines[-1].startswith(f"install.sh: to uninstall: rm -r {target}")
    assert list((files.parent / "home").iterdir()) == []


def test_the_program_is_installed_again_over_itself(files: Path) -> None:
    for done in (install(files, "--yes"), install(files, "--yes")):
        assert done.returncode == 0, done.stderr
        assert "program --version" in done.stdout
        assert done.stdout.splitlines()[-1].startswith("install.sh: to uninstall: rm -r ")
    target = files.parent / "home" / ".local" / "bin" / "gateway"
    assert target.read_bytes() == (files / PROGRAM).read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["gateway"]


def test_the_plan_for_debian_names_the_uninstall_command(files: Path) -> None:
    if not Path("/etc/debian_version").exists():
        pytest.skip("not Debian")
    done = install(files, "--dry-run", "--as", "deb")

    assert done.returncode == 0, done.stderr
    assert f"plan: apt-get install {DEB}" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(
        "install.sh: to uninstall: apt-get remove gemini-openai-gateway"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sums", "0" * 64], "SHA256SUMS is not the announced one: nothing was changed"),
        (["--as", "rpm"], "--as rpm: expected deb or pyz"),
        (["--as"], "--as needs a value"),
        (["--force"], "unknown argument --force; usage: sh install.sh [--dry-run]"),
        (["--from", "/nowhere"], "/nowhere/SHA256SUMS cannot be read"),
        ([], "to go on without a question, add --yes"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_changed(files: Path, arguments: list[str], message: str) -> None:
    done = install(files, *arguments)

    assert done.returncode == 1
    assert message in done.stderr
    assert list((files.parent / "home").iterdir()) == []


def test_a_file_that_was_changed_is_refused(files: Path) -> None:
    (files / PROGRAM).write_bytes((files / PROGRAM).read_bytes() + b"x")

    done = install(files, "--yes")

    assert done.returncode == 1
    assert f"{PROGRAM} is not the file of SHA256SUMS: nothing was changed" in done.stderr


def test_a_command_of_somebody_else_is_left_alone(files: Path) -> None:
    target = files.parent / "home" / ".local" / "bin" / "gateway"
    install(files, "--dry-run")
    target.parent.mkdir(parents=True)
    target.write_text("#!/bin/sh\n")

    done = install(files, "--yes")

    assert done.returncode == 1
    assert "exists and is not such a program" in done.stderr
    assert target.read_text() == "#!/bin/sh\n"


def test_the_announced_sum_is_accepted(files: Path) -> None:
    announced = hashlib.sha256((files / "SHA256SUMS").read_bytes()).hexdigest()

    assert install(files, "--dry-run", "--sums", announced).returncode == 0
