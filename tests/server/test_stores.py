"""Stores that a configuration names."""

import os
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.server.stores import ledger_url, open_ledger, open_redis, open_stores, plugin_store
from gateway.store.key_value import StoreLimits
from gateway.store.memory import MemoryStore


def opened_files() -> list[str]:
    """Return what this process has open."""
    paths = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            paths.append(os.readlink(f"/proc/self/fd/{name}"))
    return paths


KEY, NOW = b"k" * 16, 1_700_000_000.0


def read(text: str) -> tuple[GatewayConfig, Source]:
    source = Source(text, "g.yaml", {"KEY": "AQ.key", "PASSWORD": "hush"})
    return source.decode(GatewayConfig), source


@pytest.mark.parametrize(
    ("text", "environ", "url"),
    [
        ("", {}, None),
        ("ledger: {url: 'postgresql://me@10.0.0.5/db'}", {}, "postgresql://me@10.0.0.5/db"),
        ("ledger: {url: my.db}", {"STATE_DIRECTORY": "/var/lib/gateway"}, "/var/lib/gateway/my.db"),
        ("ledger: {url: my.db}", {"STATE_DIRECTORY": "/a:/b"}, "/a/my.db"),
        ("ledger: {url: /x/my.db}", {"STATE_DIRECTORY": "/var/lib/gateway"}, "/x/my.db"),
        ("ledger: {url: my.db}", {}, f"{Path.cwd()}/my.db"),
        ("pool: {projects: [{name: a, keys: [{env: KEY}]}]}", {"STATE_DIRECTORY": "/s"}, "/s/ledger.db"),
    ],
)
def test_the_ledger_is_where_the_configuration_says(
    text: str, environ: dict[str, str], url: str | None
) -> None:
    assert ledger_url(read(text)[0], environ) == url


def test_a_ledger_that_cannot_be_opened_is_a_fault() -> None:
    with pytest.raises(ConfigError, match=r"^g\.yaml:1:15: the ledger cannot be opened: .*/nowhere/at/all"):
        open_ledger(*read("ledger: {url: /nowhere/at/all/ledger.db}"), print)


@pytest.mark.row("A10")
def test_a10_a_corrupt_ledger_is_a_fault_of_one_line_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    config = f"ledger: {{url: {tmp_path}/ledger.db}}"
    with pytest.raises(
        ConfigError,
        match=r"^g\.yaml:1:15: the ledger cannot be opened: .* is corrupt: .*Restore it from a backup.*$",
    ):
        open_ledger(*read(config), print)


@pytest.mark.row("A10")
async def test_a10_a_ledger_that_may_begin_anew_says_so(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    messages: list[str] = []
    ledger = open_ledger(*read(f"ledger: {{url: {tmp_path}/ledger.db, on_corrupt: fresh}}"), messages.append)
    assert ledger is not None
    await ledger.close()

    assert "ledger.db was corrupt" in messages[0]


@pytest.mark.row("A10")
async def test_a10_a_corrupt_state_file_is_moved_aside_and_told(tmp_path: Path) -> None:
    (tmp_path / "state.db.pool").write_bytes(b"\xff" * 5000)
    messages: list[str] = []
    stores = open_stores(*read(f"state: {{file: {tmp_path}/state.db}}"), messages.append, None, None)
    await stores.pool.put({KEY: "value"}, NOW)
    await stores.close()

    assert (tmp_path / "state.db.pool.corrupt").read_bytes() == b"\xff" * 5000
    assert "cooldowns of the key pool were lost" in messages[0]


def test_without_an_address_there_is_no_redis() -> None:
    assert open_redis(*read(""), print) is None


async def test_data_of_a_plugin_is_in_a_file_of_its_own(tmp_path: Path) -> None:
    config, source = read(f"state: {{file: {tmp_path}/state.db}}")
    store = plugin_store(config, "acme", StoreLimits(), source, print, None)
    await store.put({KEY: "value"}, NOW)
    await store.close()
    store = plugin_store(config, "acme", StoreLimits(), source, print, None)
    stored = await store.get([KEY], NOW)
    await store.close()

    assert stored == {KEY: "value"}
    assert (tmp_path / "state.db.plugin-acme").exists()


def test_without_a_file_data_of_a_plugin_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)

    assert isinstance(plugin_store(read("")[0], "acme", StoreLimits(), read("")[1], print, None), MemoryStore)


def test_a_file_of_another_program_is_a_fault(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        connection.execute("CREATE TABLE theirs (id)")
        connection.commit()
    with pytest.raises(ConfigError, match=r"^g\.yaml:1:15: "):
        open_stores(*read(f"state: {{file: {tmp_path}/state.db}}"), print, None, None)


def test_stores_that_were_open_before_a_fault_are_closed(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "state.db.pool")) as connection:  # the last one that is opened
        connection.execute("CREATE TABLE theirs (id)")
        connection.commit()
    threads = threading.active_count()
    for _ in range(3):
        with pytest.raises(ConfigError):
            open_stores(*read(f"state: {{file: {tmp_path}/state.db}}"), print, None, None)

    assert threading.active_count() == threads
    assert not [path for path in opened_files() if str(tmp_path) in path]
