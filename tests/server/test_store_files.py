"""SQLite files of a configuration, what is kept elsewhere, and the state in which a start would find them."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.server.store_files import StoreState, all_states, file_states, kept_elsewhere, store_files
from gateway.store.ledger.tables import open_engine
from gateway.store.versions import LEDGER_VERSION
from tests.support.ledgers import POSTGRES
from tests.support.paths import ROOT


def config(text: str) -> GatewayConfig:
    return Source(text, "x.yaml", {"K": "AQ.key", "P": "hush"}).decode(GatewayConfig)


POOL = "pool: {projects: [{name: blue, keys: [{env: K}]}]}\n"


def names(text: str, environ: dict[str, str]) -> dict[str, str]:
    return {file.name: str(file.path) for file in store_files(config(text), environ)}


def test_o08_the_files_of_a_service(tmp_path: Path) -> None:
    for name in ("state.db.plugin-acme_tokens", "state.db.plugin-acme_tokens-wal", "state.db.plugin-x.corrupt",
                 "state.db.plugin-x.v1.20261126T100000Z", "state.db.plugin-x.replaced-20261126T100000Z"):  # fmt: skip
        (tmp_path / name).touch()

    assert names(POOL, {"STATE_DIRECTORY": str(tmp_path)}) == {
        "ledger": f"{tmp_path}/ledger.db",
        "signatures": f"{tmp_path}/state.db",
        "responses": f"{tmp_path}/state.db.responses",
        "answers": f"{tmp_path}/state.db.answers",
        "file_owners": f"{tmp_path}/state.db.pins",
        "pool": f"{tmp_path}/state.db.pool",
        "plugin-acme_tokens": f"{tmp_path}/state.db.plugin-acme_tokens",
    }


def test_o08_what_is_elsewhere_is_named_with_its_command_and_without_its_password() -> None:
    text = (
        POOL + "ledger: {url: 'postgresql://gw:hush@db/x'}\nstate: {file: /s.db, redis: 'redis://r:6379/0'}\n"
    )
    notes = kept_elsewhere(config(text), {})

    assert names(text, {}) == {"pool": "/s.db.pool"}  # each machine has its own
    assert "hush" not in str(notes)
    assert "PGPASSWORD=PASSWORD pg_dump --format=custom " in notes[0]
    assert " 'postgresql://gw@db/x'" in notes[0]
    assert "redis-cli -u 'redis://r:6379/0' --rdb" in notes[1]
    assert "in memory only: set state.file" in kept_elsewhere(config(""), {})[0]
    assert kept_elsewhere(config(POOL + "state: {file: s.db}"), {}) == []


def test_o08_the_commands_for_postgresql_are_those_of_its_page(tmp_path: Path) -> None:
    text = (ROOT / "docs/do/postgresql.md").read_text()
    lines = re.sub(r"\\\n +", "", text.replace("ledger-2026-11-26.dump", "ledger-DATE.dump")).splitlines()
    (ledger,) = (block for block in text.split("```") if block.startswith("yaml\n"))
    environ = {"CREDENTIALS_DIRECTORY": "/etc/gateway/credentials"}
    source = Source(ledger.removeprefix("yaml\n"), "x.yaml", environ)
    source.lazy_secrets = True
    note = kept_elsewhere(source.decode(GatewayConfig), environ)[0]

    commands = [line for line in lines if "pg_dump " in line or "pg_restore " in line]
    assert [line in note for line in commands] == [True, True], (commands, note)


@pytest.mark.parametrize(
    ("ledger", "password"),
    [
        ("url: 'postgresql://gw@db/x'", ""),
        ("url: 'postgresql://gw@db/x', password: {env: P}", 'PGPASSWORD="$P" '),
        ("url: 'postgresql://gw:hush@db/x'", "PGPASSWORD=PASSWORD "),
    ],
)
def test_o08_the_password_comes_from_where_the_configuration_has_it(ledger: str, password: str) -> None:
    note = kept_elsewhere(config(f"ledger: {{{ledger}}}\n"), {})[0]

    assert f"(umask 077; {password}pg_dump " in note
    assert f"with: {password}pg_restore " in note
    assert "hush" not in note


def test_o08_files_of_plugins_are_named_where_there_are_any(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path)}
    (tmp_path / "plugins").mkdir()
    assert kept_elsewhere(config(""), environ) == []
    (tmp_path / "plugins" / "capture").mkdir()

    assert kept_elsewhere(config(""), environ) == [
        f"Files of plugins are in {tmp_path}/plugins. Copy them with: cp -a {tmp_path}/plugins FOLDER."
    ]


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_o19_the_state_of_each_file_without_changing_it(tmp_path: Path) -> None:
    ledger, state = tmp_path / "ledger.db", tmp_path / "state.db"
    open_engine(str(ledger), None).dispose()
    execute(ledger, "UPDATE ledger SET value = 1 WHERE name = 'version'")
    execute(state, "PRAGMA user_version = 7")
    (tmp_path / "state.db.pool").write_bytes(b"junk" * 1000)
    states = {entry.name: entry for entry in file_states(config(POOL), {"STATE_DIRECTORY": str(tmp_path)})}

    assert (
        str(states["ledger"])
        == f"ledger: {ledger} has version 1, which the start upgrades to {LEDGER_VERSION}"
    )
    assert (states["signatures"].kind, states["signatures"].version) == ("newer", 7)
    assert "its schema has version 7, and this gateway supports 1. Start the newer gateway again, or" in str(
        states["signatures"]
    )
    assert str(states["responses"]) == f"responses: {state}.responses does not exist yet"
    assert (states["pool"].kind, "cannot be read" in states["pool"].fault) == ("unreadable", True)
    with closing(sqlite3.connect(ledger)) as connection:
        assert connection.execute("SELECT value FROM ledger WHERE name = 'version'").fetchone() == (1,)


def test_a_postgresql_that_does_not_answer_is_a_fault_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    (state,) = all_states(config("ledger: {url: 'postgresql://gw:hush@127.0.0.1:1/x'}"))

    assert (state.kind, state.place) == ("unreadable", "postgresql://gw@127.0.0.1:1/x")
    assert "hush" not in state.fault


@pytest.mark.skipif(POSTGRES is None, reason="GATEWAY_TEST_POSTGRES names no database")
def test_o19_a_ledger_in_postgresql_has_a_version_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy as sa

    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert POSTGRES is not None
    engine = open_engine(POSTGRES, None)

    def state(version: int) -> StoreState:
        with engine.begin() as connection:
            connection.execute(sa.text(f"UPDATE ledger SET value = {version} WHERE name = 'version'"))
        return all_states(config(f"ledger: {{url: '{POSTGRES}'}}"))[0]

    newer = LEDGER_VERSION + 1
    assert (state(newer).kind, state(newer).version) == ("newer", newer)
    assert "restore the dump of before the upgrade with pg_restore" in state(newer).fault
    assert (state(LEDGER_VERSION).kind, state(LEDGER_VERSION).version) == ("", LEDGER_VERSION)
    engine.dispose()


@pytest.mark.parametrize("plugin", ["files", "batches"])
@pytest.mark.parametrize(("options", "path"), [("{}", ""), ("{path: mine}", "mine")])
def test_folders_of_clients_are_named_where_there_are_any(
    tmp_path: Path, plugin: str, options: str, path: str
) -> None:
    folder, environ = path or plugin, {"STATE_DIRECTORY": str(tmp_path)}
    settings = config(f"plugins: {{{plugin}: {options}}}\n")
    assert kept_elsewhere(settings, environ) == []
    (tmp_path / folder).mkdir()
    (tmp_path / folder / f"{plugin}.db").touch()

    (note,) = kept_elsewhere(settings, environ)
    assert f"cp -a {tmp_path}/{folder} FOLDER" in note


def test_files_of_clients_lie_beside_the_yaml(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "files.db").touch()

    notes = kept_elsewhere(config("plugins: {files: {path: mine}}\n"), {}, tmp_path)
    assert f"cp -a {tmp_path}/mine FOLDER" in notes[-1]
