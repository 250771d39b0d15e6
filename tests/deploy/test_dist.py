"""`make dist`: what it builds from a commit, and that the same commit gives the same bytes."""

import hashlib
import importlib.util
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.supply_chain import packages


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dist", ROOT / "config" / "package" / "dist.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


dist: Any = _load()
SECONDS = 1_700_000_000


def test_the_time_is_that_of_the_environment_or_of_the_commit() -> None:
    assert dist.epoch({"SOURCE_DATE_EPOCH": "1700000000"}) == SECONDS
    assert dist.epoch({}) > SECONDS


def test_a_bad_time_is_repeated(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")

    assert dist.main(["/nowhere"]) == 1
    assert "SOURCE_DATE_EPOCH: expected seconds since 1970, got 'yesterday'" in capsys.readouterr().err


def test_without_git_the_time_has_to_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    with pytest.raises(dist.DistError, match="no git history to take the time from: set SOURCE_DATE_EPOCH"):
        dist.epoch({})


def test_requirements_have_every_package_of_the_lock_with_its_hashes_and_without_markers() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    text = dist.requirements(lock)
    expected = {f"{package.name}=={package.version}": package.hashes for package in packages(lock)}

    assert ";" not in text
    blocks = [block.splitlines() for block in ("\n" + text).split("\n")[1:] if block]
    pins = [line[0].split()[0] for line in blocks if not line[0].startswith(" ")]
    assert pins == list(expected)
    assert text.count("--hash=sha256:") == sum(map(len, expected.values()))


def test_the_version_of_a_commit_grows_and_is_older_than_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "_git", lambda *_: "v0.1.0\n")

    assert dist.debian_version("0.1.0", SECONDS, "5844c12f00") == "0.1.0"
    assert dist.debian_version("0.2.0", SECONDS, "5844c12f00") == "0.2.0~20231114221320.5844c12f00"


def test_the_commit_is_that_of_the_environment_or_of_git() -> None:
    assert dist.commit({"GATEWAY_COMMIT": "aaaaaaaaaa"}) == "aaaaaaaaaa"
    assert re.fullmatch(r"[0-9a-f]{10,}", dist.commit({}))


def test_o09_wheel_and_sources_are_the_same_bytes_twice(tmp_path: Path) -> None:
    """The second checkout has other modes, times and an umask of its own."""
    sums: list[list[str]] = []
    wheel = sources = tmp_path
    for name, umask in (("a", 0o022), ("b", 0o077)):
        before = os.umask(umask)
        try:
            tree, output = tmp_path / name / "tree", tmp_path / name / "out"
            output.mkdir(parents=True)
            dist.export(tree, SECONDS)
            environ = {**os.environ, "SOURCE_DATE_EPOCH": str(SECONDS), "PYTHONHASHSEED": "0"}
            wheel = dist._wheel(tree, output, environ)
            sources = dist.sdist(tree, wheel, output / "gemini_openai_gateway-0.1.0.tar.gz", SECONDS)
        finally:
            os.umask(before)
        sums.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in (wheel, sources)])

    assert sums[0] == sums[1]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        shipped = archive.read("gateway/config/shipped/gateway.yaml")
        scripts = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert shipped == (ROOT / "config" / "gateway.yaml").read_bytes()
    assert "gateway/config/shipped/gateway.schema.json" in names
    assert "gateway/config/shipped/compose.yaml" in names
    assert not any(name.startswith("tests") for name in names)
    assert "gemini-openai-gateway = gateway.cli.main:main" in scripts
    with tarfile.open(fileobj=io.BytesIO(sources.read_bytes())) as files:
        members = {member.name.partition("/")[2]: member for member in files.getmembers()}
    assert {"PKG-INFO", "setup.cfg", "pyproject.toml", "LICENSE", "config/gateway.yaml", "Makefile"} <= set(
        members
    )
    assert {member.mtime for member in members.values()} == {SECONDS}
    assert {member.mode for member in members.values()} == {0o644, 0o755}


@pytest.mark.slow
def test_o09_everything_is_the_same_bytes_twice(tmp_path: Path) -> None:
    """Needs the index of packages at the first run, and takes a minute."""
    subprocess.run(["make", ".venv-dist/.made"], cwd=ROOT, check=True, capture_output=True)
    python = ROOT / ".venv-dist" / "bin" / "python"
    for name in ("a", "b"):
        command = [str(python), "config/package/dist.py", str(tmp_path / name)]
        subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, env={**os.environ, "TMPDIR": str(tmp_path)}
        )

    sums = [(tmp_path / name / "SHA256SUMS").read_text() for name in ("a", "b")]
    assert sums[0] == sums[1]
    suffixes = sorted(line.rpartition(".")[2] for line in sums[0].splitlines())
    assert suffixes == ["deb", "gz", "json", "pyz", "sh", "whl"]
    (program,) = (tmp_path / "a").glob("*.pyz")
    done = subprocess.run(
        [sys.executable, str(program), "demo", "--once", "--listen", "127.0.0.1:0"],
        capture_output=True, text=True, check=True, env={**os.environ, "SHIV_ROOT": str(tmp_path / "shiv")},
    )  # fmt: skip
    assert "data: [DONE]" in done.stdout
