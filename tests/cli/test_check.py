"""`gateway check`."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.store.ledger.tables import open_engine


def test_check_says_what_is_wrong_and_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("plugins:\n  chat: {}\n  helo: {}\n")

    assert main(["check", "--config", str(file)]) == 78
    assert f"{file}:3:9: plugin 'helo': not installed; did you mean 'hello'?" in capsys.readouterr().err
    file.write_text("")
    assert main(["check", "--config", str(file)]) == 0


def test_a_file_whose_plugins_serve_no_api_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "g.yaml"
    for text, is_told in (
        ("plugins: {health: {}}", True),
        ("plugins: {}", True),
        ("plugins: {chat: {}}", False),
        ("", False),
    ):
        file.write_text(text)
        assert main(["check", "--config", str(file)]) == 0
        assert ("no plugin serves an API" in capsys.readouterr().err) is is_told


def test_the_shipped_plugins_that_a_list_leaves_out_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "g.yaml"
    file.write_text(
        "plugins: {images: {n: 4}, files: {path: kept}, hello: {}, health: {}, key: {}, native: {}}"
    )
    assert main(["check", "--config", str(file)]) == 0
    expected = (
        "note: not served, because `plugins` replaces the shipped list and leaves them out: chat, responses, "
        "messages, completions, embeddings, speech, transcription, models, batches\n"
    )
    assert capsys.readouterr().err == expected

    file.write_text("")
    assert main(["check", "--config", str(file)]) == 0
    assert capsys.readouterr().err == ""


def write_version(ledger: Path, version: int) -> None:
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute(f"UPDATE ledger SET value = {version} WHERE name = 'version'")


def test_o19_check_says_before_a_start_that_a_store_is_of_a_newer_gateway(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, ledger = tmp_path / "g.yaml", tmp_path / "ledger.db"
    file.write_text(f"ledger:\n  url: {ledger}\nstate: {{file: {tmp_path}/state.db}}\n")
    open_engine(str(ledger), None).dispose()
    write_version(ledger, 1)
    assert main(["check", "--stores", "--config", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"{file}: ok", f"ledger: {ledger} has version 1, which the start upgrades to 4"]
    assert lines[2].startswith("signatures: ")

    write_version(ledger, 9)
    for options in ([], ["--stores"]):
        assert main(["check", *options, "--config", str(file)]) == 78
        message = capsys.readouterr().err.strip()
        assert message.startswith(
            f"{file}:2:8: {ledger} was written by a newer gateway: its schema has version 9"
        )
        assert message.endswith("gateway restore FILE")
        assert "\n" not in message


def test_o19_a_store_that_cannot_be_read_is_a_fault_only_of_the_stores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "g.yaml"
    file.write_text(f"ledger: {{url: {tmp_path}/ledger.db}}\n")
    (tmp_path / "ledger.db").write_bytes(b"junk" * 1000)
    assert main(["check", "--config", str(file)]) == 0
    assert main(["check", "--stores", "--config", str(file)]) == 78
    assert "ledger.db cannot be read: file is not a database" in capsys.readouterr().err


def test_without_files_there_is_nothing_to_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    (tmp_path / "g.yaml").write_text("")
    assert main(["check", "--stores", "--config", str(tmp_path / "g.yaml")]) == 0
    assert "no stores: everything is kept in memory" in capsys.readouterr().out


def test_o10_without_a_file_there_is_nothing_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)

    assert main(["check"]) == 2
    assert "no configuration file: name it with --config, or write one" in capsys.readouterr().err
    (tmp_path / "gateway.yaml").write_text("")
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "gateway.yaml: ok\n"
