"""Issued keys follow the ledger's table while the gateway runs."""

import asyncio
from time import time

from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine
from tests.support.team import Team


async def test_keys_revoked_expired_and_rotated(team: Team) -> None:
    key, other = team.issue(), team.issue()
    await team.start("a")
    engine = open_engine(str(team.file), None)
    ids = {entry.hash: entry.id for entry in client_keys.issued(engine)}
    assert (await team.ask(key))[0] == 200
    renewed = client_keys.rotate(engine, next(iter(ids.values())))
    assert client_keys.revoke(engine, list(ids.values())[1], time())
    engine.dispose()
    assert renewed is not None

    async with asyncio.timeout(30):  # known within a second; a loaded machine may take longer
        while (await team.ask(key))[0] == 200 or (await team.ask(other))[0] == 200:
            await asyncio.sleep(0.05)
    assert (await team.ask(renewed))[0] == 200
