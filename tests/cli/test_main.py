"""The command line as a whole: bad arguments, help, and what a command imports."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gateway import full_version
from gateway.cli.main import COMMANDS, main
from gateway.store.ledger.tables import open_engine
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--listen", "nonsense"],
        ["serve", "--listen", "h:99999"],
        ["serve", "--upstream", "nope"],
        [],
    ],
)
def test_bad_arguments_end_with_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "command",
    [
        [],
        *([name] for name in COMMANDS),
        *(["keys", action] for action in ("add", "list", "revoke", "rotate", "rules")),
        ["ledger", "move"],
    ],
    ids=" ".join,
)
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])

    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: gateway", *command]))


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    lines = capsys.readouterr().out.splitlines()
    assert [name for name in COMMANDS if not any(line.split()[:1] == [name] for line in lines)] == []


def test_a_command_imports_only_what_it_needs() -> None:
    code = (
        "import sys; from gateway.cli.main import main; main(['schema'])\n"
        "print(*(name for name in ('aiohttp', 'sqlalchemy', 'gateway.server') if name in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stderr.strip() == ""


def test_o19_the_version_names_the_commit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])

    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{full_version()}\n"


@pytest.mark.parametrize(
    ("table", "command"),
    [
        ("client_key", ["keys", "list"]),
        ("client_key", ["keys", "list", "--json"]),
        ("client_key", ["keys", "add", "ada"]),
        ("client_key", ["keys", "revoke", "ada"]),
        ("attempt", ["keys", "list"]),
        ("attempt", ["usage"]),
    ],
    ids=str,
)
def test_a_missing_table_of_the_ledger_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, command: list[str]
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"ledger: {{url: {tmp_path}/ledger.db}}\n")
    open_engine(str(tmp_path / "ledger.db"), None).dispose()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
        connection.execute(f"DROP TABLE {table}")

    assert main([*command, "--config", str(file)]) == 1
    errors = capsys.readouterr().err
    assert errors == f"gateway {command[0]}: the ledger cannot be used: no such table: {table}\n"
