"""Keys that the gateway issues: made, listed, revoked and renewed in the ledger's database. All functions block."""

import secrets

import msgspec
import sqlalchemy as sa

from gateway.policy.access import ISSUED, ClientKey, digest
from gateway.policy.client_rules import Rules
from gateway.store.ledger.tables import about, client_key


def issue(made: sa.Engine, name: str, rules: Rules, now: float, expires: float | None) -> tuple[str, str]:
    """A new key: its id, and the key itself, which is shown this once and kept nowhere."""
    key_id, key = f"key_{secrets.token_hex(6)}", _new()
    row = {
        "id": key_id, "name": name[:80], "hash": digest(key), "created": now, "expires": expires, "revoked": None,
        "rules": msgspec.json.encode(rules).decode(),
    }  # fmt: skip
    with made.begin() as connection:
        connection.execute(client_key.insert(), row)
        _changed(connection)
    return key_id, key


def revoke(made: sa.Engine, key_id: str, now: float) -> bool:
    """End a key; every process knows within a second. False for one that is not there, or has ended."""
    return _update(made, key_id, revoked=now)


def rotate(made: sa.Engine, key_id: str) -> str | None:
    """Another key in place of an old one, which ends at once; rules, budgets and id stay."""
    key = _new()
    return key if _update(made, key_id, hash=digest(key)) else None


def change(made: sa.Engine, key_id: str, rules: Rules) -> bool:
    """Other rules for a key."""
    return _update(made, key_id, rules=msgspec.json.encode(rules).decode())


def issued(made: sa.Engine) -> list[ClientKey]:
    """All keys, newest first."""
    with made.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        rows = connection.execute(sa.select(client_key).order_by(client_key.c.created.desc())).all()
    return [
        ClientKey(
            row.id, row.name, row.hash, row.created, row.expires, row.revoked,
            msgspec.json.decode(row.rules, type=Rules),
        )
        for row in rows
    ]  # fmt: skip


def revision(made: sa.Engine) -> int:
    """A number that each change raises."""
    with made.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        found: int = connection.execute(
            sa.select(about.c.value).where(about.c.name == "revision")
        ).scalar_one()
    return found


def _new() -> str:
    return ISSUED + secrets.token_urlsafe(32)


def _update(made: sa.Engine, key_id: str, **values: object) -> bool:
    c = client_key.c
    with made.begin() as connection:
        found = connection.execute(
            client_key.update().where(c.id == key_id, c.revoked.is_(None)).values(values)
        )
        _changed(connection)
    return bool(found.rowcount)


def _changed(connection: sa.Connection) -> None:
    connection.execute(about.update().where(about.c.name == "revision").values(value=about.c.value + 1))
