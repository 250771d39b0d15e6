"""Settings files in a home directory, for each program of the table."""

import json
import stat
from pathlib import Path

import pytest

from gateway.cli.connect import files
from gateway.cli.connect.clients import CLIENTS, Client
from gateway.cli.connect.edits import CannotEdit
from gateway.cli.connect.places import Home
from gateway.cli.connect.settings import Settings

SETTINGS = Settings("https://gateway.example.com", "AQ.secret-key", "gemini-x")
WRITTEN = [client for client in CLIENTS.values() if client.files or client.environment]


def contents(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def paths(changes: list[files.Change]) -> list[Path]:
    return [change.path for change in changes]


@pytest.mark.parametrize("client", WRITTEN, ids=lambda client: client.name)
def test_an_empty_home_is_empty_again_after_undo(client: Client, tmp_path: Path) -> None:
    changed = paths(files.write(client, SETTINGS, Home(tmp_path, {"SHELL": "/bin/bash"})))
    texts = "".join(path.read_text() for path in changed)

    assert SETTINGS.url in texts
    assert "{" + "key}" not in texts
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.rglob("*") if path.is_file())
    again = contents(tmp_path)
    files.write(client, SETTINGS, Home(tmp_path, {"SHELL": "/bin/bash"}))
    assert contents(tmp_path) == again
    assert paths(files.undo(client, Home(tmp_path, {"SHELL": "/bin/bash"}))) == changed
    assert contents(tmp_path) == {}
    assert files.undo(client, Home(tmp_path, {"SHELL": "/bin/bash"})) == []


@pytest.mark.parametrize("client", WRITTEN, ids=lambda client: client.name)
def test_files_of_others_are_kept_and_come_back_to_the_byte(client: Client, tmp_path: Path) -> None:
    own = {"toml": b"# mine\nx = 1\n", "yaml": b"x: 1\n", "env": b"X=1\n", "json": b'{"x":\t1}'}
    for file in client.files if client.name != "llm" else ():  # its file is a list
        path = tmp_path / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(own[file.format])
        path.chmod(0o640)
    (tmp_path / ".zshrc").write_bytes(b"alias x=y\n")
    before = contents(tmp_path)

    changed = paths(files.write(client, SETTINGS, Home(tmp_path, {"SHELL": "/usr/bin/zsh"})))
    backups = {
        name.removesuffix(files.BACKUP): text
        for name, text in contents(tmp_path).items()
        if name.endswith(files.BACKUP)
    }
    assert backups.items() <= before.items()
    assert len(backups) == len([path for path in changed if str(path.relative_to(tmp_path)) in before])
    files.write(client, Settings("http://other:1", "other", "m"), Home(tmp_path, {"SHELL": "/usr/bin/zsh"}))
    files.undo(client, Home(tmp_path, {"SHELL": "/usr/bin/zsh"}))

    assert contents(tmp_path) == before


def test_values_of_json_that_were_there_come_back_after_edits_of_others(tmp_path: Path) -> None:
    client, path = CLIENTS["claude"], tmp_path / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"env": {"ANTHROPIC_MODEL": "theirs"}, "theme": "dark"}')
    files.write(client, SETTINGS, Home(tmp_path, {"SHELL": ""}))
    value = json.loads(path.read_text())
    assert value["env"]["ANTHROPIC_MODEL"] == "gemini-x"
    path.write_text(json.dumps(value | {"theme": "light"}))
    files.undo(client, Home(tmp_path, {"SHELL": ""}))

    assert json.loads(path.read_text()) == {"env": {"ANTHROPIC_MODEL": "theirs"}, "theme": "light"}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    dotfiles = tmp_path / "dotfiles"
    dotfiles.write_text("alias x=y\n")
    (tmp_path / ".bashrc").symlink_to(dotfiles)
    files.write(CLIENTS["copilot"], SETTINGS, Home(tmp_path, {"SHELL": "/bin/bash"}))

    assert (tmp_path / ".bashrc").is_symlink()
    assert "COPILOT_MODEL=gemini-x" in dotfiles.read_text()


@pytest.mark.parametrize(
    "text", [b"model = [", b"\xff\xfe", b"[model_providers.gateway]\n", b"model_providers = {}\n"]
)
def test_a_file_that_cannot_be_changed_keeps_all_files(tmp_path: Path, text: bytes) -> None:
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "config.toml").write_bytes(text)

    with pytest.raises(CannotEdit, match=r"config\.toml"):
        files.write(CLIENTS["codex"], SETTINGS, Home(tmp_path, {"SHELL": "/bin/bash"}))
    assert contents(tmp_path) == {".codex/config.toml": text}


@pytest.mark.parametrize("shells", [("/bin/bash", "/usr/bin/zsh"), ("/usr/bin/fish", "/bin/sh")])
def test_undo_looks_at_the_files_of_all_shells(tmp_path: Path, shells: tuple[str, str]) -> None:
    (tmp_path / ".zshrc").write_bytes(
        b"# \xe9, not UTF-8 and nobody's concern\n" if shells[0] == "/usr/bin/fish" else b""
    )
    before = contents(tmp_path)
    files.write(CLIENTS["copilot"], SETTINGS, Home(tmp_path, {"SHELL": shells[0]}))
    assert contents(tmp_path) != before

    assert files.undo(CLIENTS["copilot"], Home(tmp_path, {"SHELL": shells[1]}))
    assert contents(tmp_path) == before


def test_undo_finds_a_file_that_a_variable_had_moved(tmp_path: Path) -> None:
    moved = Home(tmp_path, {"CODEX_HOME": f"{tmp_path}/elsewhere"})
    for home in (moved, Home(tmp_path, {})):
        files.write(CLIENTS["codex"], SETTINGS, home)
    assert {"elsewhere/config.toml", ".codex/config.toml"} < set(contents(tmp_path))

    files.undo(CLIENTS["codex"], moved)
    assert contents(tmp_path) == {}


def test_undo_changes_nothing_if_one_file_cannot_be_changed(tmp_path: Path) -> None:
    home = Home(tmp_path, {"SHELL": "/bin/bash"})
    files.write(CLIENTS["codex"], SETTINGS, home)
    path = tmp_path / ".bashrc"
    path.write_text(path.read_text().replace("<<<", "..."))
    before = contents(tmp_path)

    with pytest.raises(CannotEdit, match=r"\.bashrc"):
        files.undo(CLIENTS["codex"], home)
    assert contents(tmp_path) == before


def test_undo_names_a_backup_that_it_keeps(tmp_path: Path) -> None:
    home, path = Home(tmp_path, {}), tmp_path / ".aider.conf.yml"
    path.write_text("dark-mode: true\n")
    files.write(CLIENTS["aider"], SETTINGS, home)
    path.write_text(path.read_text() + "auto-commits: false\n")
    (change,) = files.undo(CLIENTS["aider"], home)

    assert path.read_text() == "dark-mode: true\nauto-commits: false\n"
    assert f"{path}{files.BACKUP}" in change.note


def test_a_file_of_the_program_that_gets_the_key_is_not_left_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text("{}")
    path.chmod(0o644)
    (change,) = files.write(CLIENTS["claude"], SETTINGS, Home(tmp_path, {}))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "600" in change.note


def test_a_file_of_the_shell_keeps_its_mode_and_the_command_is_named(tmp_path: Path) -> None:
    path = tmp_path / ".bashrc"
    path.write_text("alias x=y\n")
    path.chmod(0o644)
    codex = tmp_path / ".codex" / "config.toml"
    codex.parent.mkdir()
    codex.touch(0o644)
    notes = {
        c.path: c.note for c in files.write(CLIENTS["codex"], SETTINGS, Home(tmp_path, {"SHELL": "bash"}))
    }

    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert f"chmod 600 {path}" in notes[path]
    assert notes[codex] == ""  # it has no key
