"""Issued keys: created, changed, rotated and revoked."""

import re

from msgspec import structs

from gateway.policy.clients.access import ISSUED, ClientKey, digest
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine


def test_the_life_of_a_key(url: str) -> None:
    engine = open_engine(url, None)
    before = client_keys.revision(engine)
    key_id, key = client_keys.issue(engine, "ada", Rules(models=("gemini-*",)), 5.0, None)
    (record,) = client_keys.issued(engine)
    assert (record.id, record.name, record.rules.models) == (key_id, "ada", ("gemini-*",))
    assert (key.startswith(ISSUED), record.hash) == (True, digest(key))
    assert client_keys.change(engine, key_id, Rules())
    assert client_keys.issued(engine)[0].rules == Rules()
    rotated = client_keys.rotate(engine, key_id)
    assert rotated is not None
    assert client_keys.issued(engine)[0].hash == digest(rotated) != digest(key)
    assert client_keys.revoke(engine, key_id, 9.0)
    assert client_keys.issued(engine)[0].fault(10.0) == "revoked"
    assert client_keys.revision(engine) == before + 4
    engine.dispose()


def test_a_revoked_or_unknown_key_is_not_changed(url: str) -> None:
    engine = open_engine(url, None)
    key_id, _ = client_keys.issue(engine, "ada", Rules(), 5.0, None)
    client_keys.revoke(engine, key_id, 9.0)
    record = client_keys.issued(engine)

    for name in (key_id, "key_unknown"):
        assert not client_keys.revoke(engine, name, 10.0)
        assert not client_keys.change(engine, name, Rules(streams=1))
        assert client_keys.rotate(engine, name) is None
    assert client_keys.issued(engine) == record
    engine.dispose()


def test_keys_are_listed_newest_first(url: str) -> None:
    engine = open_engine(url, None)
    for created, name in ((5.0, "old"), (7.0, "newest"), (6.0, "newer")):
        client_keys.issue(engine, name, Rules(), created, None)

    assert [record.name for record in client_keys.issued(engine)] == ["newest", "newer", "old"]
    engine.dispose()


def test_a_key_is_found_by_what_was_said_when_it_was_issued(url: str) -> None:
    engine = open_engine(url, None)
    key_id, key = client_keys.issue(engine, "n" * 81, Rules(streams=3), 5.0, 60.0)
    (record,) = client_keys.issued(engine)
    engine.dispose()

    assert record == ClientKey(key_id, "n" * 80, digest(key), 5.0, 60.0, None, Rules(streams=3))
    assert re.fullmatch("key_[0-9a-f]{12}", key_id)
    assert re.fullmatch("sk-gw-[A-Za-z0-9_-]{43}", key), "256 random bits"


def test_a_change_concerns_one_key(url: str) -> None:
    engine = open_engine(url, None)
    ids = [client_keys.issue(engine, name, Rules(), 5.0, None)[0] for name in ("ada", "bob")]
    before = {record.id: record for record in client_keys.issued(engine)}
    assert client_keys.change(engine, ids[0], Rules(streams=1))
    assert client_keys.rotate(engine, ids[0])
    assert client_keys.revoke(engine, ids[0], 9.0)
    after = {record.id: record for record in client_keys.issued(engine)}
    engine.dispose()

    assert after[ids[1]] == before[ids[1]]
    assert after[ids[0]] == structs.replace(
        before[ids[0]], hash=after[ids[0]].hash, revoked=9.0, rules=Rules(streams=1)
    )
