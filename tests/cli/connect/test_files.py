"""Settings files in a home directory, for each program of the table."""

import json
import stat
from pathlib import Path

import pytest

from gateway.cli.connect import files
from gateway.cli.connect.clients import CLIENTS, Client
from gateway.cli.connect.edits import CannotEdit
from gateway.cli.connect.settings import Settings

SETTINGS = Settings("https://gateway.example.com", "AQ.secret-key", "gemini-x")
WRITTEN = [client for client in CLIENTS.values() if client.file is not None or client.environment]


def contents(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize("client", WRITTEN, ids=lambda client: client.name)
def test_an_empty_home_is_empty_again_after_undo(client: Client, tmp_path: Path) -> None:
    changed = files.write(client, SETTINGS, tmp_path, "/bin/bash")
    texts = "".join(path.read_text() for path in changed)

    assert SETTINGS.url in texts
    assert "{" + "key}" not in texts
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.rglob("*") if path.is_file())
    again = contents(tmp_path)
    files.write(client, SETTINGS, tmp_path, "/bin/bash")
    assert contents(tmp_path) == again
    assert files.undo(client, tmp_path, "/bin/bash") == changed
    assert contents(tmp_path) == {}
    assert files.undo(client, tmp_path, "/bin/bash") == []


@pytest.mark.parametrize("client", WRITTEN, ids=lambda client: client.name)
def test_files_of_others_are_kept_and_come_back_to_the_byte(client: Client, tmp_path: Path) -> None:
    own = {"toml": b"# mine\nx = 1\n", "yaml": b"x: 1\n", "env": b"X=1\n", "json": b'{"x":\t1}'}
    if client.file is not None and client.name != "llm":  # its file is a list
        path = tmp_path / client.file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(own[client.file.format])
        path.chmod(0o640)
    (tmp_path / ".zshrc").write_bytes(b"alias x=y\n")
    before = contents(tmp_path)

    changed = files.write(client, SETTINGS, tmp_path, "/usr/bin/zsh")
    backups = {
        name.removesuffix(files.BACKUP): text
        for name, text in contents(tmp_path).items()
        if name.endswith(files.BACKUP)
    }
    assert backups.items() <= before.items()
    assert len(backups) == len([path for path in changed if str(path.relative_to(tmp_path)) in before])
    files.write(client, Settings("http://other:1", "other", "m"), tmp_path, "/usr/bin/zsh")
    files.undo(client, tmp_path, "/usr/bin/zsh")

    assert contents(tmp_path) == before


def test_values_of_json_that_were_there_come_back_after_edits_of_others(tmp_path: Path) -> None:
    client, path = CLIENTS["claude"], tmp_path / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"env": {"ANTHROPIC_MODEL": "theirs"}, "theme": "dark"}')
    files.write(client, SETTINGS, tmp_path, "")
    value = json.loads(path.read_text())
    assert value["env"]["ANTHROPIC_MODEL"] == "gemini-x"
    path.write_text(json.dumps(value | {"theme": "light"}))
    files.undo(client, tmp_path, "")

    assert json.loads(path.read_text()) == {"env": {"ANTHROPIC_MODEL": "theirs"}, "theme": "light"}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    dotfiles = tmp_path / "dotfiles"
    dotfiles.write_text("alias x=y\n")
    (tmp_path / ".bashrc").symlink_to(dotfiles)
    files.write(CLIENTS["copilot"], SETTINGS, tmp_path, "/bin/bash")

    assert (tmp_path / ".bashrc").is_symlink()
    assert "COPILOT_MODEL=gemini-x" in dotfiles.read_text()


@pytest.mark.parametrize("text", [b"model = [", b"\xff\xfe", b"[model_providers.gateway]\n"])
def test_a_file_that_cannot_be_changed_keeps_all_files(tmp_path: Path, text: bytes) -> None:
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "config.toml").write_bytes(text)

    with pytest.raises(CannotEdit, match=r"config\.toml"):
        files.write(CLIENTS["codex"], SETTINGS, tmp_path, "/bin/bash")
    assert contents(tmp_path) == {".codex/config.toml": text}
