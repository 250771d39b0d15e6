"""`gateway plugin`: packages on a list, from which each version of the gateway gets its plugins."""

import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from gateway.cli.main import main
from gateway.cli.plugin_environment import own_versions

Pip = list[list[str]]


def wheel(folder: Path, name: str = "acme", version: str = "1.0", points: str = "acme = acme:Acme") -> Path:
    """Write a wheel with entry points."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        archive.writestr(
            f"{name}-{version}.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n\nText: x\n"
        )
        if points:
            text = f"[console_scripts]\nx = y:z\n\n[gateway.plugins]\n{points}\n"
            archive.writestr(f"{name}-{version}.dist-info/entry_points.txt", text)
    return path


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "plugins.txt"


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pip:
    """Commands that pip would have run; `pip wheel` copies a wheel that a test has written to `built`."""
    commands: Pip = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        arguments = command[command.index("pip") + 4 :]
        commands.append(arguments)
        if arguments[0] == "wheel":
            target = Path(arguments[arguments.index("--wheel-dir") + 1])
            target.mkdir(parents=True)
            for built in (tmp_path / "built").glob("*.whl"):
                (target / built.name).write_bytes(built.read_bytes())
        failed = "broken" in " ".join(arguments)
        return subprocess.CompletedProcess(
            command, int(failed), "", "note\nERROR: no such package\n" if failed else ""
        )

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "site"))
    (tmp_path / "site").mkdir()
    return commands


def run(*arguments: str, listing: Path) -> int:
    action, *rest = arguments
    return main(["plugin", action, "--list", str(listing), *rest])


def test_o20_an_installed_plugin_is_on_the_list_with_its_wheel(
    tmp_path: Path, listing: Path, pip: Pip, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel(tmp_path / "built", points="one = acme:One\nTwo = acme:Two")
    assert run("install", "acme", listing=listing) == 0

    kept = listing.parent / "plugins" / "acme-1.0-py3-none-any.whl"
    assert kept.exists()
    assert listing.read_text().splitlines()[-1] == "./plugins/acme-1.0-py3-none-any.whl"
    assert [command[0] for command in pip] == ["wheel", "install", "install"]
    assert "--constraint" in pip[1]
    out = capsys.readouterr().out
    assert "installed acme 1.0, with the plugins: one, Two" in out
    assert "gateway check --deep" in out


def test_o20_a_newer_one_takes_its_place(tmp_path: Path, listing: Path, pip: Pip) -> None:
    for version in ("1.0", "1.1"):
        built = wheel(tmp_path / "built", version=version)
        assert run("install", "acme", listing=listing) == 0
        built.unlink()

    assert [line for line in listing.read_text().splitlines() if line.startswith("./")] == [
        "./plugins/acme-1.1-py3-none-any.whl"
    ]
    assert [path.name for path in (listing.parent / "plugins").iterdir()] == ["acme-1.1-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("", "acme has no entry point in the group gateway.plugins: it is no plugin of this gateway."),
        ("chat = acme:Chat\nx = acme:X", "acme has a plugin with the name of a built-in one: chat."),
    ],
)
def test_o22_what_is_no_plugin_is_not_installed(
    tmp_path: Path, listing: Path, pip: Pip, capsys: pytest.CaptureFixture[str], points: str, message: str
) -> None:
    wheel(tmp_path / "built", points=points)

    assert run("install", "acme", listing=listing) == 1
    assert capsys.readouterr().err == f"gateway plugin: {message}\n"
    assert [command[0] for command in pip] == ["wheel"]
    assert not listing.exists()


def test_o20_sync_installs_all_and_names_what_fails(
    tmp_path: Path, listing: Path, pip: Pip, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel(listing.parent / "plugins")
    listing.write_text("# text\n./plugins/acme-1.0-py3-none-any.whl\nbroken==2  # by hand\n\nother-one>=1\n")

    assert run("sync", listing=listing) == 1
    assert [command[-1] for command in pip] == [
        str(listing.parent / "plugins" / "acme-1.0-py3-none-any.whl"), "broken==2", "other-one>=1",
    ]  # fmt: skip
    captured = capsys.readouterr()
    assert captured.out == "installed acme\ninstalled other-one\n"
    assert captured.err == "gateway plugin: broken==2: pip install failed: ERROR: no such package\n"


def test_o20_without_a_list_there_is_nothing_to_do(listing: Path, pip: Pip) -> None:
    assert run("sync", listing=listing) == 0
    assert run("list", listing=listing) == 0
    assert pip == []


def test_o20_a_removed_plugin_is_off_the_list(
    tmp_path: Path, listing: Path, pip: Pip, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel(tmp_path / "built")
    run("install", "acme", listing=listing)
    assert run("remove", "Acme", listing=listing) == 0
    assert not [line for line in listing.read_text().splitlines() if line.startswith("./")]
    assert list((listing.parent / "plugins").iterdir()) == []
    assert run("remove", "acme", listing=listing) == 1
    assert f"acme is not in {listing}. Listed: nothing." in capsys.readouterr().err


def test_an_optional_part_of_the_gateway_is_kept_for_later_versions(
    tmp_path: Path, listing: Path, pip: Pip, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel(tmp_path / "built")
    assert run("install", "acme", "--extra", "otel", listing=listing) == 0
    assert run("install", "--extra", "otel", listing=listing) == 0
    assert [line for line in listing.read_text().splitlines() if not line.startswith("#")] == [
        "./plugins/acme-1.0-py3-none-any.whl",
        "[otel]",
    ]
    installed = [command for command in pip if "opentelemetry-sdk" in " ".join(command)]
    assert "--constraint" in installed[0]
    assert not {"--upgrade", "--force-reinstall"} & set(installed[0])

    pip.clear()  # as the next version does
    assert run("sync", listing=listing) == 0
    assert [command[0] for command in pip] == ["install", "install"]
    assert [text.split("<")[0] for text in pip[1][3:]] == [
        "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http",
    ]  # fmt: skip
    assert run("list", listing=listing) == 0
    assert "[otel]: installed\n" in capsys.readouterr().out

    assert run("remove", "--extra", "otel", listing=listing) == 0
    assert "[otel]" not in listing.read_text().splitlines()
    assert run("remove", "--extra", "otel", listing=listing) == 1
    assert f"[otel] is not in {listing}. Listed: acme." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a PACKAGE, or an optional part of the gateway by --extra"),
        (
            ["--extra", "dev"],
            "the gateway has no optional part 'dev'. It has: tokens, zstd, audio, images, team, vertex, otel.",
        ),
    ],
)
def test_what_is_no_optional_part_is_not_installed(
    listing: Path, pip: Pip, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run("install", *arguments, listing=listing) == 1
    assert capsys.readouterr().err == f"gateway plugin: {message}\n"
    assert (pip, listing.exists()) == ([], False)


def test_a_part_that_this_version_does_not_have_is_said(
    listing: Path, pip: Pip, capsys: pytest.CaptureFixture[str]
) -> None:
    listing.parent.mkdir()
    listing.write_text("[gone]\n")
    assert run("sync", listing=listing) == 1
    assert "[gone]: the gateway has no optional part 'gone'." in capsys.readouterr().err


def test_o20_the_list_is_printed(
    listing: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(listing.parent / "plugins")
    listing.write_text("./plugins/acme-1.0-py3-none-any.whl\n")

    assert run("list", listing=listing) == 0
    assert capsys.readouterr().out == "acme: not installed here; `gateway plugin sync` installs it\n"


def test_o20_the_gateway_s_own_versions_stay() -> None:
    own = dict(line.split("==") for line in own_versions())

    assert {"gemini-openai-gateway", "aiohttp", "msgspec", "pyyaml", "multidict"} <= set(own)


@pytest.mark.parametrize("name", ["aiohttp", "Gemini_OpenAI.Gateway"])
def test_a_plugin_of_the_name_of_an_own_package_is_refused(
    tmp_path: Path, listing: Path, pip: Pip, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    wheel(tmp_path / "built", name=name)
    assert run("install", name, listing=listing) == 1
    assert "is the gateway itself or one of its dependencies" in capsys.readouterr().err
    assert [command[0] for command in pip] == ["wheel"]


def test_an_installation_that_replaces_a_part_of_the_gateway_is_undone(
    tmp_path: Path,
    listing: Path,
    pip: Pip,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wheel(tmp_path / "built")
    core = tmp_path / "site" / "gateway" / "core.py"
    core.parent.mkdir()
    core.write_text("good")
    pip_of_fixture = subprocess.run

    def overwriting(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        if "install" in command:
            core.write_text("evil")
        return pip_of_fixture(command, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(subprocess, "run", overwriting)
    assert run("install", "acme", listing=listing) == 1
    assert f"replaces a part of the gateway or of its dependencies ({core})" in capsys.readouterr().err
    assert core.read_text() == "good"
    assert not listing.exists()


def test_o20_no_pip_is_said(
    listing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = subprocess.CompletedProcess([], 1, "", "/usr/bin/python3: No module named pip\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)

    assert run("install", "acme", listing=listing) == 1
    assert "this environment has no pip" in capsys.readouterr().err


@pytest.fixture
def venv(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A virtual environment that sees the packages of this one; calls run in it."""
    import site

    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (next((folder / "lib").glob("python*")) / "site-packages" / "parent.pth").write_text(
        "\n".join([*site.getsitepackages(), str(Path(__file__).parents[2])]) + "\n"
    )

    def call(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [str(folder / "bin" / "python"), "-m", "gateway", *arguments]
        environment = {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1", "PATH": "/usr/bin:/bin", **environ}
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
        )

    return call


@pytest.mark.slow
def test_o20_a_folder_is_installed_and_again_into_another_environment(
    tmp_path: Path, listing: Path, venv: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    acme = Path(__file__).parents[1] / "acme_gateway"
    done = venv("plugin", "install", "--list", str(listing), str(acme))
    assert done.returncode == 0, done.stderr
    (tmp_path / "g.yaml").write_text("plugins: {acme_echo: {}, acme_rules: {}}\n")
    assert venv("check", "--deep", "--config", "g.yaml").stdout == "g.yaml: ok\n"
    assert "acme-gateway 1.0: acme_echo, " in venv("plugin", "list", "--list", str(listing)).stdout

    assert venv("plugin", "sync", "--list", str(listing)).returncode == 0
    assert venv("plugin", "remove", "--list", str(listing), "acme-gateway").returncode == 0
    assert "not installed" in venv("check", "--config", "g.yaml").stderr


@pytest.mark.slow
def test_pip_understands_the_requirements_of_each_optional_part(
    listing: Path, venv: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    names = ("otel", "tokens", "team", "zstd")  # all are in the environment of the tests
    for name in names:
        done = venv("plugin", "install", "--list", str(listing), "--extra", name)
        assert (done.returncode, done.stderr) == (0, ""), name
    assert venv("plugin", "sync", "--list", str(listing)).returncode == 0
    shown = venv("plugin", "list", "--list", str(listing)).stdout
    assert shown.splitlines() == [f"[{name}]: installed" for name in names]


@pytest.mark.slow
def test_a_plugin_cannot_bring_another_gateway(
    tmp_path: Path, listing: Path, venv: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    nice = installable(tmp_path, "nice", "1.0", {"nice.py": ""}, "gemini-openai-gateway>=99")
    installable(links, "gemini-openai-gateway", "99.0", {"gateway/__init__.py": "raise SystemExit('evil')"})
    rude = installable(tmp_path, "rude", "1.0", {"gateway/__init__.py": "raise SystemExit('evil')"})
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    before = sorted(site.rglob("*.py*"))
    for path, message in ((nice, "pip install failed"), (rude, "the installation was undone")):
        result = venv("plugin", "install", "--list", str(listing), str(path), PIP_FIND_LINKS=str(links))
        assert (result.returncode, message in result.stderr) == (1, True), result.stderr
        assert sorted(site.rglob("*.py*")) == before
    assert venv("--version").returncode == 0
    assert not listing.exists()


def installable(folder: Path, name: str, version: str, files: dict[str, str], requires: str = "") -> Path:
    """Write a wheel that pip installs, with a plugin."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[gateway.plugins]\nnice = nice:Nice\n",
    }
    path = folder / f"{stem}-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        for file, text in contents.items():
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in [*contents, f"{info}/RECORD"]))
    return path
