"""Sources of the admin API: the ledger that is not there, and the audit."""

from typing import Any

import pytest

from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret
from gateway.console.app import Admin
from gateway.console.sources import cursor_text
from gateway.plugin import SERVICES
from gateway.store.ledger import audit
from tests.support.servers import Serve
from tests.support.team import Team

BEARER = {"Authorization": "Bearer hush"}


def admin(serve: Serve) -> Any:
    return Admin(lambda: serve.app[SERVICES], AdminConfig(Secret("hush"))).app()


async def test_each_change_is_in_the_log_and_in_the_ledger(
    event_lines: list[dict[str, Any]], team: Team, serve: Serve, aiohttp_client: Any
) -> None:
    await team.start("a")
    client = await aiohttp_client(admin(serve), headers=BEARER)
    created = await (await client.post("/admin/keys", json={"name": "<img onerror>"})).json()
    await client.put(f"/admin/keys/{created['id']}/rules", json={})
    await client.post(f"/admin/keys/{created['id']}/rotate")
    await client.delete(f"/admin/keys/{created['id']}")
    await client.delete(f"/admin/keys/{created['id']}")
    lines = [line for line in event_lines if line["event"] == "admin"]
    ledger: Any = serve.app[SERVICES].exchange.accounting.ledger
    entries, _ = audit.page(ledger.engine, 10)

    assert [line["what"] for line in lines] == ["key.issue", "key.rules", "key.rotate", "key.revoke"]
    assert {(line["operator"], line["how"], line["on"]) for line in lines} == {
        ("admin", "token", created["id"])
    }
    assert [entry.what for entry in entries] == [line["what"] for line in lines[::-1]]
    assert created["key"] not in f"{lines}{entries}"


async def test_without_a_ledger_the_answer_says_what_to_set(serve: Serve, aiohttp_client: Any) -> None:
    await serve()
    client = await aiohttp_client(admin(serve), headers=BEARER)
    for path in ("/admin/keys", "/admin/usage"):
        response = await client.get(path)
        error = (await response.json())["error"]
        assert (response.status, error["code"]) == (404, "no_ledger")
        assert "set ledger.url or pool.projects" in error["message"]


@pytest.mark.parametrize("place", [(1.5e9, "ab_c"), (0.1, "")])
def test_a_place_survives_its_cursor(place: tuple[float, str]) -> None:
    text = cursor_text(place)
    assert text is not None
    at, _, name = text.partition("_")

    assert (float.fromhex(at), name) == place
    assert cursor_text(None) is None
