"""The overview in one answer."""

from typing import Any

from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret
from gateway.console.app import Admin
from gateway.plugin import SERVICES
from tests.support.servers import Serve
from tests.support.team import Google, Team, refused


async def summary(admin: Any) -> Any:
    async with admin.get("/admin/summary") as response:
        assert response.status == 200
        return await response.json()


async def test_a_gateway_at_work(team: Team, google: Google, admin: Any) -> None:
    assert (await summary(admin))["first_request"] is None
    async with admin.post("/admin/keys", json={"name": "ada", "rules": {"dollars": {"day": 50}}}) as response:
        key = (await response.json())["key"]
    google.answers["AIza-a"] = google.answers["AIza-b"] = lambda: refused(
        403, "Your API key was reported as leaked."
    )
    await team.ask(key)
    google.answers.clear()
    shown = await summary(admin)

    assert shown["first_request"] > 1e9
    assert (shown["now"]["requests"], shown["now"]["failed"], shown["before"]) == (1, 1, None)
    assert sum(shown["series"]["failed"]) == 1
    assert {len(shown["series"][kind]) for kind in ("ok", "saved", "refused", "failed")} == {60}
    assert len(shown["days"]) == 30
    assert shown["dollars"]["today"] == 0
    assert shown["ledger"]
    assert [(project["project"], project["state"]) for project in shown["pool"]] == [
        ("a", "refused"),
        ("b", "refused"),
    ]
    assert [row["status"] for row in shown["failures"]] == [503]
    assert [need["code"] for need in shown["needs"]] == ["key_refused", "key_refused"]
    assert shown["limit"] > 0
    assert "(the key was published)" in shown["needs"][0]["message"]
    async with admin.get("/admin/summary", headers={"Accept-Language": "zh"}) as response:
        chinese = (await response.json())["needs"]
    assert chinese[0]["message"].startswith("Google 拒绝了 a 的密钥")


async def test_an_empty_gateway_says_what_is_missing(serve: Serve, aiohttp_client: Any) -> None:
    await serve()
    admin = await aiohttp_client(
        Admin(lambda: serve.app[SERVICES], AdminConfig(Secret("hush"))).app(),
        headers={"Authorization": "Bearer hush"},
    )
    shown = await summary(admin)

    assert (shown["dollars"], shown["days"], shown["pool"], shown["first_request"]) == (None, None, [], None)
    assert {need["code"] for need in shown["needs"]} >= {"no_ledger", "no_pool"}
