"""`gateway ledger move` from a shell; tests/store/ledger/test_move.py has the rows."""

from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.policy.client_rules import Rules
from gateway.store.ledger.client_keys import issue, issued
from gateway.store.ledger.tables import open_engine
from tests.support.ledgers import POSTGRES, databases
from tests.support.sqlite_users import held_open

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def config(tmp_path: Path) -> list[str]:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"ledger: {{url: {tmp_path}/ledger.db}}\n")
    engine = open_engine(f"{tmp_path}/ledger.db", None)
    issue(engine, "ada", Rules(), 1e9, None)
    engine.dispose()
    return ["--config", str(file)]


@pytest.mark.skipif(POSTGRES is None, reason="GATEWAY_TEST_POSTGRES names no database")
def test_o19_the_ledger_is_in_postgresql_afterwards(
    tmp_path: Path, config: list[str], capsys: Capture
) -> None:
    (url,) = databases("postgresql", tmp_path)
    assert main(["ledger", "move", "--to", url, *config]) == 0
    shown = capsys.readouterr()
    assert "client_key: 1 rows, compared" in shown.out
    assert f'ledger: {{url: "{url}"' in shown.err
    (tmp_path / "gateway.yaml").write_text(f"ledger: {{url: '{url}'}}\n")
    assert main(["keys", "list", *config]) == 0

    assert "  ada  " in capsys.readouterr().out


def test_nothing_is_moved_while_a_gateway_runs(tmp_path: Path, config: list[str], capsys: Capture) -> None:
    with held_open(tmp_path / "ledger.db"):
        assert main(["ledger", "move", "--to", "postgresql://u@127.0.0.1:1/x", *config]) == 1

    assert "nothing was moved: " in (errors := capsys.readouterr().err)
    assert "ledger.db is in use: stop the gateway first" in errors


def test_a_database_that_does_not_answer_is_named(tmp_path: Path, config: list[str], capsys: Capture) -> None:
    assert main(["ledger", "move", "--to", "postgresql://u:hush@127.0.0.1:1/x", *config]) == 1

    assert "nothing was moved: connection failed" in (errors := capsys.readouterr().err)
    assert "hush" not in errors
    engine = open_engine(f"{tmp_path}/ledger.db", None)
    assert [key.name for key in issued(engine)] == ["ada"]
    engine.dispose()


def test_only_postgresql_is_a_target_and_only_sqlite_a_source(
    tmp_path: Path, config: list[str], capsys: Capture
) -> None:
    with pytest.raises(SystemExit):
        main(["ledger", "move", "--to", "other.db", *config])
    assert "--to: expected postgresql://USER@HOST/NAME" in capsys.readouterr().err
    (tmp_path / "gateway.yaml").write_text("ledger: {url: 'postgresql://u@h/x'}")
    assert main(["ledger", "move", "--to", "postgresql://u@h/y", *config]) == 78
    assert "this configuration names no SQLite file to move: name it with --from" in capsys.readouterr().err
    (tmp_path / "gateway.yaml").write_text(f"ledger: {{url: {tmp_path}/none.db}}")
    for options in ([], ["--from", f"{tmp_path}/none.db"]):
        assert main(["ledger", "move", "--to", "postgresql://u@h/y", *options, *config]) == 1
        assert "none.db does not exist" in capsys.readouterr().err
