"""An installation that changes the gateway's own packages is noticed, and undone."""

import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli.plugin_environment import EnvironmentCopy, extras, own_versions

MODULE = "gateway/core.py"


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def package(site: Path, name: str, version: str, *files: str, requires: str = "") -> None:
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    put(folder / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
    put(
        folder / "RECORD",
        "".join(f"{file},,\n" for file in (*files, f"{folder.name}/METADATA", f"{folder.name}/RECORD")),
    )
    for file in files:
        put(site / file, f"{name} {version}")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with the gateway, a dependency and a plugin."""
    site, scripts = tmp_path / "lib", tmp_path / "bin"
    package(site, "gemini-openai-gateway", "1.0", MODULE, "../bin/gateway", requires="dep >=2")
    package(site, "dep", "2.0", "dep.py")
    package(site, "old-plugin", "1.0", "old/plugin.py")
    (scripts / "python").symlink_to("/usr/bin/python3")
    places = {"purelib": site, "platlib": site, "scripts": scripts}
    monkeypatch.setattr(sysconfig, "get_path", lambda kind: str(places[kind]))
    monkeypatch.setattr("sys.path", [str(site)])
    return site


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() and not path.is_symlink() else ""
        for part in ("lib", "bin")
        for path in (folder / part).rglob("*")
    }


def test_the_gateway_and_its_dependencies_are_pinned(site: Path, tmp_path: Path) -> None:
    assert list(own_versions()) == ["gemini-openai-gateway==1.0", "dep==2.0"]


def test_a_gateway_that_is_not_installed_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])

    assert list(own_versions()) == ["gemini-openai-gateway<0"]


def test_an_installation_beside_it_changes_nothing(site: Path, tmp_path: Path) -> None:
    copy = EnvironmentCopy(tmp_path / "copy")
    package(site, "new-plugin", "1.0", "new/plugin.py", "../bin/new")
    package(site, "old-plugin", "1.1", "old/plugin.py")
    put(site / "gateway" / "__pycache__" / "core.pyc", "compiled")

    assert copy.change() is None


def test_what_an_optional_part_brings_is_no_change_and_a_newer_one_of_it_is(
    site: Path, tmp_path: Path
) -> None:
    needs = 'trace <2 ; extra == "otel"\nRequires-Dist: x>1; python_version < "3.14" and extra == "otel"'
    package(site, "gemini-openai-gateway", "1.0", MODULE, "../bin/gateway", requires=needs)
    package(site, "trace", "1.0", "trace.py")
    (site / "trace-1.0.dist-info").rename(tmp_path / "trace")
    copy = EnvironmentCopy(tmp_path / "copy")
    (tmp_path / "trace").rename(site / "trace-1.0.dist-info")

    assert extras() == {"otel": ["trace <2", 'x>1 ; python_version < "3.14"']}
    assert "trace==1.0" in own_versions()
    assert copy.change() is None
    later = EnvironmentCopy(tmp_path / "later")
    put(site / "trace-1.0.dist-info" / "METADATA", "Name: trace\nVersion: 2.0\n")
    assert later.change() == "trace==2.0"


@pytest.mark.parametrize(
    ("act", "change"),
    [
        (lambda site: put(site / MODULE, "evil"), MODULE),
        (lambda site: (site / MODULE).unlink(), MODULE),
        (lambda site: put(site / "gateway" / "new.py", ""), "gateway/new.py"),
        (lambda site: put(site / "dep.py", "evil"), "dep.py"),
        (lambda site: put(site.parent / "bin" / "gateway", "evil"), "bin/gateway"),
        (lambda site: package(site, "dep", "2.0", "dep.py", "more.py"), "RECORD"),
        (lambda site: put(site / "dep-2.0.dist-info" / "METADATA", "Name: dep\nVersion: 9\n"), "dep==9"),
        (lambda site: package(site / "..", "x", "1", "lib/" + MODULE), MODULE),
    ],
)
def test_each_change_of_its_own_is_noticed_and_undone(
    site: Path, tmp_path: Path, act: Callable[[Path], None], change: str
) -> None:
    before = tree(tmp_path)
    copy = EnvironmentCopy(tmp_path / "copy")
    act(site)
    package(site, "new-plugin", "1.0", "new/deep/plugin.py", "../bin/new")
    put(site / "new" / "deep" / "__pycache__" / "plugin.cpython-311.pyc", "compiled")
    (tmp_path / "bin" / "python").unlink()
    result = copy.change()

    assert result is not None
    assert result.endswith(change)
    copy.undo()
    assert tree(tmp_path) == before
    assert (tmp_path / "bin" / "python").is_symlink()
    assert copy.change() is None
