"""`gateway restore` from a shell: the way back from a newer version. test_backup.py has the whole way."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.store.ledger.tables import open_engine
from tests.support.ledgers import TO_VERSION_1

Capture = pytest.CaptureFixture[str]


def test_o19_the_command_that_a_refused_start_names_leads_back(tmp_path: Path, capsys: Capture) -> None:
    file, ledger = tmp_path / "g.yaml", tmp_path / "ledger.db"
    file.write_text(f"ledger: {{url: {ledger}}}\n")
    open_engine(str(ledger), None).dispose()
    with closing(sqlite3.connect(ledger)) as connection, connection:
        for statement in TO_VERSION_1:
            connection.execute(statement)
    open_engine(str(ledger), None).dispose()  # upgrades, and keeps a copy
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("UPDATE ledger SET value = 99 WHERE name = 'version'")
    assert main(["serve", "--config", str(file), "--listen", "127.0.0.1:0"]) == 78
    message = capsys.readouterr().err.strip()
    assert message.count("\n") == 0
    command = message.partition("gateway restore ")[2]

    assert command.startswith(f"{ledger}.v1.")
    assert main(["check", "--config", str(file)]) == 78
    assert main(["restore", command, "--config", str(file)]) == 0
    assert main(["check", "--config", str(file)]) == 0


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "g.yaml"
    file.write_text(f"ledger: {{url: {tmp_path}/ledger.db}}\n")
    assert main(["restore", str(tmp_path / "none.tar"), "--config", str(file)]) == 1

    assert "none.tar cannot be read: No such file or directory." in capsys.readouterr().err
