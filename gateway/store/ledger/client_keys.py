"""Issued keys in the ledger's database. All functions block."""

import secrets

import msgspec
import sqlalchemy as sa

from gateway.policy.clients.access import ISSUED, ClientKey, digest
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger.tables import about, client_key


def issue(
    engine: sa.Engine, name: str, rules: Rules, now: float, expires: float | None, note: str = ""
) -> tuple[str, str]:
    """Create a key. Return its id and the key itself, which is shown this once and not stored."""
    key_id, key = f"key_{secrets.token_hex(6)}", _new()
    row = {
        "id": key_id, "name": name[:80], "hash": digest(key), "created": now, "expires": expires,
        "rules": msgspec.json.encode(rules).decode(), "note": note[:200],
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(client_key.insert(), row)
        _raise_revision(connection)
    return key_id, key


def revoke(engine: sa.Engine, key_id: str, now: float) -> bool:
    """Revoke a key; all processes refuse it within a second. Return False if there is none, or it was revoked."""
    return _update(engine, key_id, revoked=now)


def rotate(engine: sa.Engine, key_id: str, old_until: float | None = None) -> str | None:
    """Replace a key. Return the new one, or None if there is none, or it was revoked.

    Id, name, rules, budgets and expiry stay. The old key is accepted until a time, or no longer without one.
    """
    key = _new()
    old = client_key.c.hash if old_until is not None else None
    return key if _update(engine, key_id, hash=digest(key), old_hash=old, old_until=old_until) else None


def suspend(engine: sa.Engine, key_id: str, now: float | None) -> bool:
    """Do not accept a key from a time on; with None, accept it again. Return False if there is none to change."""
    return _update(engine, key_id, suspended=now)


def edit(engine: sa.Engine, key_id: str, **values: str | float | None) -> bool:
    """Change `name`, `note` or `expires` of a key. Return False if there is none, or it was revoked."""
    cut = {"name": 80, "note": 200}
    return _update(engine, key_id, **{n: v[: cut[n]] if isinstance(v, str) else v for n, v in values.items()})


def change(engine: sa.Engine, key_id: str, rules: Rules) -> bool:
    """Replace the rules of a key. Return False if there is none, or it was revoked."""
    return _update(engine, key_id, rules=msgspec.json.encode(rules).decode())


def issued(engine: sa.Engine) -> list[ClientKey]:
    """Return all keys, newest first."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        rows = connection.execute(sa.select(client_key).order_by(client_key.c.created.desc())).all()
    return [
        ClientKey(
            row.id, row.name, row.hash, row.created, row.expires, row.revoked,
            msgspec.json.decode(row.rules, type=Rules), row.note or "", row.suspended, row.old_hash, row.old_until,
        )
        for row in rows
    ]  # fmt: skip


def revision(engine: sa.Engine) -> int:
    """Return a number that each change of a key raises."""
    query = sa.select(about.c.value).where(about.c.name == "revision")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        value: int = connection.execute(query).scalar_one()
    return value


def _new() -> str:
    return ISSUED + secrets.token_urlsafe(32)


def _update(engine: sa.Engine, key_id: str, **values: object) -> bool:
    unrevoked = client_key.update().where(client_key.c.id == key_id, client_key.c.revoked.is_(None))
    with engine.begin() as connection:
        result = connection.execute(unrevoked.values(values))
        _raise_revision(connection)
    return bool(result.rowcount)


def _raise_revision(connection: sa.Connection) -> None:
    connection.execute(about.update().where(about.c.name == "revision").values(value=about.c.value + 1))
