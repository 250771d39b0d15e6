"""The admin API of a running team, with a token."""

from typing import Any

import pytest

from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret
from gateway.console.app import Admin
from gateway.plugin import SERVICES
from tests.support.servers import Serve
from tests.support.team import Team


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the ledger as long as a busy machine takes."""
    monkeypatch.setattr("gateway.console.spending.WAIT", 5)


@pytest.fixture
async def admin(team: Team, serve: Serve, aiohttp_client: Any) -> Any:
    """The admin API of a running team."""
    await team.start("ab")
    return await open_admin(serve, aiohttp_client)


async def open_admin(serve: Serve, aiohttp_client: Any) -> Any:
    """Return a client of the admin API of the gateway that was started last."""
    serve.environ["TOKEN"] = "hush"
    return await aiohttp_client(
        Admin(lambda: serve.app[SERVICES], AdminConfig(Secret("hush"))).app(),
        headers={"Authorization": "Bearer hush"},
    )
