"""`gateway keys` from a shell."""

import json
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.config.admin import AdminConfig
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger.client_keys import issued
from gateway.store.ledger.tables import open_engine

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"ledger: {{url: {tmp_path}/ledger.db}}\n")
    return str(file)


def rules(tmp_path: Path) -> Rules:
    engine = open_engine(str(tmp_path / "ledger.db"), None)
    (key,) = issued(engine)
    engine.dispose()
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
    assert "  active  " in listed
    assert main(["keys", "rules", key_id, "--config", config, "--streams", "4"]) == 0
    assert rules(tmp_path) == Rules(streams=4)
    assert main(["keys", "rotate", key_id, "--config", config]) == 0
    assert capsys.readouterr().out.strip() != key
    assert main(["keys", "revoke", key_id, "--config", config]) == 0
    assert main(["keys", "revoke", key_id, "--config", config]) == 1
    assert f"{key_id} has been revoked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
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
        (["keys", "add", " "], "the name of a key cannot be empty"),
    ],
)
def test_invalid_rules_are_reported(config: str, capsys: Capture, arguments: list[str], message: str) -> None:
    try:
        code: object = main([*arguments, "--config", config])
    except SystemExit as ended:  # argparse's own way out
        code = ended.code

    assert code == 2
    assert message in capsys.readouterr().err


def test_without_a_ledger_there_are_no_keys(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "g.yaml").write_text("")
    assert main(["keys", "list", "--config", str(tmp_path / "g.yaml")]) == 78
    assert "set ledger.url" in capsys.readouterr().err


@pytest.mark.row("A1")
def test_a01_a_key_of_the_pool_is_put_back_by_the_running_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("admin: {port: 8081, token: {env: TOKEN}}\n")
    monkeypatch.setenv("TOKEN", "hush")
    sent: list[tuple[int | None, str, object]] = []
    faults = [None, "There is no project 'x' in the pool."]

    def post(config: AdminConfig, path: str, body: object) -> str | None:
        sent.append((config.port, path, body))
        return faults.pop(0)

    monkeypatch.setattr("gateway.cli.keys.post", post)
    assert main(["keys", "put-back", "blue", "1a2b3c4d", "--config", str(file)]) == 0
    assert main(["keys", "put-back", "x", "--config", str(file)]) == 1
    assert "There is no project 'x'" in capsys.readouterr().err
    assert sent == [
        (8081, "/admin/pool/put_back", {"project": "blue", "key_id": "1a2b3c4d"}),
        (8081, "/admin/pool/put_back", {"project": "x", "key_id": ""}),
    ]


def test_o15_a_key_is_changed_by_its_name_and_a_mistake_gets_a_suggestion(
    config: str, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["keys", "add", "carla", "--json", "--config", config]) == 0
    created = json.loads(capsys.readouterr().out)
    assert (created["name"], created["key"][:6], created["notes"]) == ("carla", "sk-gw-", [])
    assert main(["keys", "rules", "carla", "--streams", "4", "--config", config]) == 0
    assert rules(tmp_path) == Rules(streams=4)
    assert main(["keys", "rotate", "carla", "--json", "--config", config]) == 0
    rotated = json.loads(capsys.readouterr().out)
    assert (rotated["id"], rotated["key"] != created["key"]) == (created["id"], True)
    for action in ("revoke", "rotate", "rules"):
        assert main(["keys", action, "carl", "--config", config]) == 2
        assert "no key has the name or id 'carl'; did you mean 'carla'?" in capsys.readouterr().err
    assert main(["keys", "list", "--json", "--config", config]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["state"], listed["rules"]) == ("carla", "active", {"streams": 4})


def test_o15_without_keys_the_list_is_its_header(config: str, capsys: Capture) -> None:
    assert main(["keys", "list", "--config", config]) == 0

    assert capsys.readouterr().out.split()[:3] == ["id", "name", "state"]


def test_o17_an_allow_list_without_the_default_model_is_noted_when_the_key_is_made(
    config: str, capsys: Capture
) -> None:
    assert main(["keys", "add", "ada", "--models", "gemini-2.5-*", "--config", config]) == 0
    shown = capsys.readouterr()
    assert shown.err.count("note: ") == 2
    assert (
        "note: The rules exclude gemini-flash-latest, the default model for chat: requests without a model, or with"
        in shown.err
    )
    assert "gemini-embedding-001, the default model for embeddings" in shown.err
    assert shown.out.startswith("sk-gw-")
    assert main(["keys", "rules", "ada", "--models", "gemini-*", "--config", config]) == 0
    assert "note: " not in capsys.readouterr().err


def test_revoke_rotate_and_rules_say_what_happened(config: str, capsys: Capture) -> None:
    assert main(["keys", "add", "ada", "--json", "--config", config]) == 0
    key_id = json.loads(capsys.readouterr().out)["id"]
    for action, name, message in (
        (
            "rotate",
            "ada",
            f"{key_id} (ada) has a new key, which cannot be shown again; the old one has ended, rules",
        ),
        ("rules", "ada", f"{key_id} (ada) has new rules, in place of all former ones"),
        ("revoke", key_id, f"{key_id} is revoked; every machine refuses it within a second"),
    ):
        assert main(["keys", action, name, "--config", config]) == 0
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.out.startswith("sk-gw-") == (action == "rotate")


def test_a_second_key_of_a_name_is_noted(config: str, capsys: Capture) -> None:
    assert main(["keys", "add", "ada", "--json", "--config", config]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["notes"] == []
    assert main(["keys", "add", "ada", "--config", config]) == 0
    message = f"note: There is another key of this name ({first['id']}): revoke, rotate and rules need the id of one."
    assert message in capsys.readouterr().err
    for _ in range(2):
        assert main(["keys", "list", "--json", "--config", config]) == 0
        for key in json.loads(capsys.readouterr().out):
            main(["keys", "revoke", key["id"], "--config", config])
    capsys.readouterr()
    assert main(["keys", "add", "ada", "--config", config]) == 0
    assert "another key" not in capsys.readouterr().err


def test_a_budget_below_one_request_is_noted_when_the_key_is_made(config: str, capsys: Capture) -> None:
    assert main(["keys", "add", "ada", "--dollars-day", "0.01", "--config", config]) == 0
    shown = capsys.readouterr()
    assert (
        "note: The budget of 0.01 dollars per day is less than one request of gemini-flash-latest"
        in shown.err
    )
    assert shown.out.startswith("sk-gw-")
    assert main(["keys", "rules", "ada", "--dollars-day", "20", "--config", config]) == 0
    assert "note: " not in capsys.readouterr().err


def test_keys_need_no_secret_but_the_ledger_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for name in ("KEY", "TOKEN", "PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "gateway.yaml"
    pool = "pool: {projects: [{name: a, keys: [{env: KEY}, {credential: key}]}]}\nadmin: {port: 1, token: {env: TOKEN}}\n"
    file.write_text(f"{pool}ledger: {{url: {tmp_path}/ledger.db}}\n")
    assert main(["keys", "add", "ada", "--config", str(file)]) == 0
    assert main(["keys", "list", "--config", str(file)]) == 0
    assert main(["usage", "--config", str(file)]) == 0
    capsys.readouterr()
    file.write_text(f"{pool}ledger: {{url: 'postgresql://u@127.0.0.1:1/x', password: {{env: PASSWORD}}}}\n")
    assert main(["keys", "list", "--config", str(file)]) == 78
    assert "the environment variable 'PASSWORD' is not set" in capsys.readouterr().err
    assert main(["check", "--config", str(file)]) == 78  # as the gateway, which needs all
    assert "'KEY' is not set" in capsys.readouterr().err
