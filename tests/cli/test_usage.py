"""`gateway usage` from a shell."""

import json
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.cli.usage import COLUMNS
from gateway.store.ledger.reports import BY
from gateway.store.ledger.tables import open_engine

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"ledger: {{url: {tmp_path}/ledger.db}}\n")
    return str(file)


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_usage_in_three_forms(config: str, tmp_path: Path, capsys: Capture, form: str) -> None:
    engine = open_engine(str(tmp_path / "ledger.db"), None)
    with engine.begin() as connection:
        row = "('1', 1700000000, 'r', 'key_a', 'blue', 'gemini-x', 'chat', '', 10, 5, 1500000, 'ok')"
        columns = "id, at, request_id, client, project, model, surface, reserved, prompt, completion, micros, outcome"
        connection.exec_driver_sql(f"INSERT INTO attempt ({columns}) VALUES {row}")
    engine.dispose()
    asked = ["usage", "--config", config, "--since", "2023-11-14", "--until", "2023-11-15", "--format", form]
    assert main([*asked, "--by", "client,model", "--bucket", "day"]) == 0
    out = capsys.readouterr().out
    if form == "json":
        assert json.loads(out)[0]["dollars"] == 1.5
    else:
        assert "2023-11-14T00:00Z" in out
        assert "key_a" in out
    assert main([*asked, "--by", "nobody"]) == 2


def test_a_date_of_another_form_is_refused(config: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["usage", "--since", "yesterday", "--config", config])

    assert caught.value.code == 2
    assert "--since: expected YYYY-MM-DD, got 'yesterday'" in capsys.readouterr().err


def test_usage_can_be_grouped_by_the_ledgers_columns() -> None:
    assert COLUMNS == BY
