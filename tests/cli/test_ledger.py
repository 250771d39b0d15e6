"""`gateway ledger move` from a shell; tests/store/ledger/test_move.py has the rows."""

from pathlib import Path
from time import time

import aiohttp
import pytest
from msgspec import structs

from gateway.cli.main import main
from gateway.policy.clients.budgets import Budget
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger.client_keys import issue, issued
from gateway.store.ledger.move import move
from gateway.store.ledger.tables import open_engine, postgresql_engine
from tests.support.ledgers import POSTGRES, OpenLedger, databases, intent, settlement
from tests.support.servers import Serve
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


@pytest.mark.skipif(POSTGRES is None, reason="GATEWAY_TEST_POSTGRES names no database")
async def test_o19_a_gateway_goes_on_where_the_moved_ledger_ends(tmp_path: Path, serve: Serve) -> None:
    budget = Budget("tokens", "total", 1000)
    async with OpenLedger(str(tmp_path / "ledger.db")) as opened:
        key_id, key = issue(opened.ledger.engine, "ada", Rules(tokens={"total": 1000}), 1e9, None)
        call = structs.replace(intent(1, budget, reserve=100, at=time()), client=key_id)
        await opened.ledger.begin(call)
        await opened.ledger.settle(settlement(1, tokens=40))
    (url,) = databases("postgresql", tmp_path)
    move(tmp_path / "ledger.db", postgresql_engine(url, None))
    base = await serve(f"ledger: {{url: '{url}'}}\nplugins: {{key: {{}}}}")
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http,
        http.get(f"{base}/v1/key") as response,
    ):
        shown = await response.json()

    assert (shown["name"], shown["budgets"][0]["spent"], shown["budgets"][0]["left"]) == ("ada", 40, 960)
    assert [(day["model"], day["calls"]) for day in shown["usage"]] == [("gemini-2.5-flash", 1)]


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
