"""`gateway backup` and `gateway restore` from a shell, with a gateway that runs and one that does not."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger.client_keys import issue, issued
from gateway.store.ledger.tables import open_engine
from tests.support.gateway_process import Gateway, ready

Capture = pytest.CaptureFixture[str]


def key_names(path: Path) -> list[str]:
    engine = open_engine(str(path), None)
    names = [key.name for key in issued(engine)]
    engine.dispose()
    return names


def add_key(path: Path, name: str) -> None:
    engine = open_engine(str(path), None)
    issue(engine, name, Rules(), 1e9, None)
    engine.dispose()


async def test_o08_a_backup_of_a_running_gateway_is_restored_on_another_server(
    tmp_path: Path, start: list[Gateway], capsys: Capture
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        text = (
            f"listen: {{port: 0}}\nledger: {{url: {folder}/ledger.db}}\nstate: {{file: {folder}/state.db}}\n"
        )
        (folder / "gateway.yaml").write_text(text)
    start.append(Gateway(here, (here / "gateway.yaml").read_text()))
    await ready(start[0])
    add_key(here / "ledger.db", "ada")
    file, config = str(tmp_path / "backup.tar"), ["--config", str(here / "gateway.yaml")]

    assert main(["backup", file, *config]) == 0
    shown = capsys.readouterr()
    assert [line.partition(":")[0] for line in shown.out.splitlines()[:-1]] == [
        "ledger", "signatures", "responses", "answers", "file_owners", "pool", "plugin-native",
    ]  # fmt: skip
    assert f"Not in it: {here}/gateway.yaml and the secrets" in shown.err
    add_key(here / "ledger.db", "bob")
    assert main(["restore", file, *config]) == 1
    assert "ledger.db is in use: stop the gateway first" in capsys.readouterr().err
    assert key_names(here / "ledger.db") == ["ada", "bob"]

    assert main(["restore", file, "--config", str(there / "gateway.yaml")]) == 0
    assert key_names(there / "ledger.db") == ["ada"]
    start[0].close()
    capsys.readouterr()
    assert main(["restore", file, *config, "--dry-run"]) == 0
    assert "ledger.db would be restored" in capsys.readouterr().out
    assert key_names(here / "ledger.db") == ["ada", "bob"]
    assert main(["restore", file, *config, "--only", "ledger"]) == 0
    assert "the file before is ledger.db.replaced-" in capsys.readouterr().out
    assert key_names(here / "ledger.db") == ["ada"]


def test_what_cannot_be_in_a_backup_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    config = tmp_path / "g.yaml"
    config.write_text("ledger: {url: 'postgresql://gw@db/x'}\n")
    assert main(["backup", str(tmp_path / "b.tar"), "--config", str(config)]) == 1

    errors = capsys.readouterr().err
    assert "nothing to back up" in errors
    assert "pg_dump --format=custom" in errors
    assert not (tmp_path / "b.tar").exists()


def test_secrets_that_a_command_does_not_use_may_be_missing(tmp_path: Path, capsys: Capture) -> None:
    open_engine(f"{tmp_path}/ledger.db", None).dispose()
    config = tmp_path / "g.yaml"
    config.write_text(
        f"ledger: {{url: {tmp_path}/ledger.db, password: {{env: NO_SUCH}}}}\n"
        "pool: {projects: [{name: a, keys: [{env: NO_SUCH}]}]}\n"
        "admin: {token: {credential: none}, port: 1}\n"
    )
    named = ["--config", str(config)]
    assert main(["backup", str(tmp_path / "b.tar"), *named]) == 0
    assert main(["restore", str(tmp_path / "b.tar"), *named, "--dry-run"]) == 0
    capsys.readouterr()

    move = ["ledger", "move", "--to", "postgresql://gw@127.0.0.1:9/x", *named]
    assert main(move) == 78
    assert "gateway: the environment variable 'NO_SUCH' is not set" in capsys.readouterr().err
    assert main(["keys", "put-back", "a", *named]) == 78
    assert "gateway: credential 'none' cannot be read" in capsys.readouterr().err


def test_a_file_that_exists_is_not_replaced(tmp_path: Path, capsys: Capture) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")):
        pass
    config = tmp_path / "g.yaml"
    config.write_text(f"ledger: {{url: {tmp_path}/ledger.db}}\n")
    assert main(["backup", str(config), "--config", str(config)]) == 1

    assert "g.yaml exists; name another file" in capsys.readouterr().err
