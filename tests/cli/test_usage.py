"""`gateway usage` from a shell."""

import json
from pathlib import Path
from time import time

import pytest

from gateway.cli.main import main
from gateway.cli.usage import COLUMNS
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger.client_keys import issue
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
        assert ("$1.50" if form == "table" else ",1.5") in out
    assert main([*asked, "--by", "nobody"]) == 2


def test_a_date_of_another_form_is_refused(config: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["usage", "--since", "yesterday", "--config", config])

    assert caught.value.code == 2
    assert "--since: expected YYYY-MM-DD, got 'yesterday'" in capsys.readouterr().err


def test_usage_can_be_grouped_by_the_ledgers_columns() -> None:
    assert COLUMNS == BY


@pytest.fixture
def used(config: str, tmp_path: Path) -> tuple[str, str]:
    """The configuration, and the id of a key with the name `carla` that has made a cheap call."""
    engine = open_engine(str(tmp_path / "ledger.db"), None)
    key_id, _ = issue(engine, "carla", Rules(), 1e9, None)
    columns = (
        "id, at, request_id, client, project, model, surface, reserved, prompt, completion, micros, outcome"
    )
    with engine.begin() as connection:
        for number, client in enumerate((key_id, "")):
            row = f"('{number}', {time() - 60}, 'r', '{client}', 'blue', 'gemini-x', 'chat', '', 10, 5, 56, 'ok')"
            connection.exec_driver_sql(f"INSERT INTO attempt ({columns}) VALUES {row}")
    engine.dispose()
    return config, key_id


def test_o15_names_stand_beside_ids_and_money_is_money(used: tuple[str, str], capsys: Capture) -> None:
    config, key_id = used
    assert main(["usage", "--config", config]) == 0
    header, own, carla = (line.split("  ") for line in capsys.readouterr().out.splitlines())
    assert [text.strip() for text in header if text][:3] == ["client", "name", "model"]
    assert [text.strip() for text in carla if text][:3] == [key_id, "carla", "gemini-x"]
    assert carla[-1].strip() == "$0.000056"
    assert "(own Gemini keys)" in [text.strip() for text in own]
    for form in (["--json"], ["--format", "csv"]):
        assert main(["usage", "--client", "carla", *form, "--config", config]) == 0
        out = capsys.readouterr().out
        assert "0.000056" in out
        assert "carla" in out
    assert main(["usage", "--client", key_id, "--json", "--config", config]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["client"], row["name"], row["calls"]) == (key_id, "carla", 1)


def test_o15_a_client_that_does_not_exist_is_an_error_with_a_suggestion(
    used: tuple[str, str], capsys: Capture
) -> None:
    assert main(["usage", "--client", "carl", "--config", used[0]]) == 2

    shown = capsys.readouterr()
    assert (shown.out, "no key has the name or id 'carl'; did you mean 'carla'?" in shown.err) == ("", True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--since", "2026-01-02", "--until", "2026-01-01"],
            "--since 2026-01-02 is not before --until 2026-01-01",
        ),
        (
            ["--since", "2026-01-01", "--until", "2026-01-01"],
            "--since 2026-01-01 is not before --until 2026-01-01, which is exclusive",
        ),
        (["--since", "2999-01-01"], "--since 2999-01-01 is not before the present"),
    ],
)
def test_o22_a_time_without_length_is_refused(
    config: str, capsys: Capture, arguments: list[str], message: str
) -> None:
    assert main(["usage", *arguments, "--config", config]) == 2

    assert message in capsys.readouterr().err
