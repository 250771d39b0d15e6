"""`gateway keys` and `gateway usage` from a shell."""

import json
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.policy.client_rules import Rules
from gateway.store.ledger.client_keys import issued
from gateway.store.ledger.tables import engine

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"ledger: {{url: {tmp_path}/ledger.db}}\n")
    return str(file)


def rules(tmp_path: Path) -> Rules:
    made = engine(str(tmp_path / "ledger.db"), None)
    (key,) = issued(made)
    made.dispose()
    return key.rules


def test_a_key_from_its_birth_to_its_end(config: str, tmp_path: Path, capsys: Capture) -> None:
    limits = [
        "--requests-per-minute",
        "60",
        "--dollars-month",
        "20",
        "--budget-tokens-day",
        "9",
        "--days",
        "30",
    ]
    assert (
        main(["keys", "add", "ada", "--config", config, "--models", "a,b*", "--alias", "x=gemini-y", *limits])
        == 0
    )
    shown = capsys.readouterr()
    key, key_id = shown.out.strip(), shown.err.partition(":")[0]
    assert key.startswith("sk-gw-")
    assert rules(tmp_path) == Rules(
        models=("a", "b*"),
        aliases={"x": "gemini-y"},
        requests_per_minute=60,
        dollars={"month": 20},
        tokens={"day": 9},
    )
    assert main(["keys", "list", "--config", config]) == 0
    listed = capsys.readouterr().out
    assert key_id in listed
    assert key not in listed
    assert "good" in listed
    assert main(["keys", "rules", key_id, "--config", config, "--streams", "4"]) == 0
    assert rules(tmp_path) == Rules(streams=4)
    assert main(["keys", "rotate", key_id, "--config", config]) == 0
    assert capsys.readouterr().out.strip() != key
    assert main(["keys", "revoke", key_id, "--config", config]) == 0
    assert main(["keys", "revoke", key_id, "--config", config]) == 1
    assert "no key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["keys", "add", "ada", "--alias", "x"], "--alias x: expected NAME=MODEL"),
        (
            ["keys", "add", "ada", "--streams", "-1"],
            "--streams: expected a whole number that is not negative, got '-1'",
        ),
        (
            ["keys", "add", "ada", "--dollars-day", "-5"],
            "--dollars-day: expected a number that is not negative",
        ),
        (["keys", "add", "ada", "--days", "-3"], "--days: expected a number that is not negative"),
        (["keys", "add", " "], "a key needs a name"),
        (["usage", "--since", "yesterday"], "--since: expected YYYY-MM-DD, got 'yesterday'"),
    ],
)
def test_rules_that_cannot_be_are_told(config: str, capsys: Capture, arguments: list[str], told: str) -> None:
    try:
        code: object = main([*arguments, "--config", config])
    except SystemExit as ended:  # argparse's own way out
        code = ended.code

    assert code == 2
    assert told in capsys.readouterr().err


def test_without_a_ledger_there_are_no_keys(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "g.yaml").write_text("")
    assert main(["keys", "list", "--config", str(tmp_path / "g.yaml")]) == 78
    assert "give ledger.url" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_usage_in_three_forms(config: str, tmp_path: Path, capsys: Capture, form: str) -> None:
    made = engine(str(tmp_path / "ledger.db"), None)
    with made.begin() as connection:
        row = "('1', 1700000000, 'r', 'key_a', 'blue', 'gemini-x', 'chat', '', 10, 5, 1500000, 'ok')"
        columns = "id, at, request_id, client, project, model, surface, reserved, prompt, completion, micros, outcome"
        connection.exec_driver_sql(f"INSERT INTO attempt ({columns}) VALUES {row}")
    made.dispose()
    asked = ["usage", "--config", config, "--since", "2023-11-14", "--until", "2023-11-15", "--format", form]
    assert main([*asked, "--by", "client,model", "--bucket", "day"]) == 0
    out = capsys.readouterr().out
    if form == "json":
        assert json.loads(out)[0]["dollars"] == 1.5
    else:
        assert "2023-11-14T00:00Z" in out
        assert "key_a" in out
    assert main([*asked, "--by", "nobody"]) == 2
