"""Endpoints of issued keys."""

from typing import Any

from tests.support.team import Team


async def test_keys_by_the_admin_api(team: Team, admin: Any) -> None:
    async with admin.post(
        "/admin/keys", json={"name": "ada", "rules": {"streams": 3}, "days": 2}
    ) as response:
        assert response.status == 201
        created = await response.json()
    assert (await team.ask(created["key"]))[0] == 200
    async with admin.get("/admin/keys") as response:
        (shown,) = (await response.json())["data"]
    assert (shown["name"], shown["state"], shown["rules"]) == ("ada", "active", {"streams": 3})
    assert created["key"] not in str(shown)
    async with admin.put(f"/admin/keys/{created['id']}/rules", json={"models": ["none"]}) as response:
        assert response.status == 200
    async with admin.post(f"/admin/keys/{created['id']}/rotate") as response:
        renewed = (await response.json())["key"]
    assert (await team.ask(renewed))[0] == 403
    assert (await team.ask(created["key"]))[0] == 401
    async with admin.delete(f"/admin/keys/{created['id']}") as response:
        assert response.status == 200
    assert (await team.ask(renewed))[0] == 401
    async with admin.delete(f"/admin/keys/{created['id']}") as response:
        assert response.status == 404


async def test_a_budget_below_one_request_is_noted_and_means_what_the_note_says(
    team: Team, admin: Any
) -> None:
    async with admin.post(
        "/admin/keys", json={"name": "ada", "rules": {"tokens": {"day": 9000}}}
    ) as response:
        created = await response.json()
    (note,) = created["notes"]
    assert note.startswith(
        "The budget of 9000 tokens per day is less than one request of gemini-flash-latest"
    )
    assert (await team.ask(created["key"]))[0] == 429
    assert (await team.ask(created["key"], max_tokens=5))[0] == 200


async def test_o15_keys_and_usage_by_name(team: Team, admin: Any) -> None:
    async with admin.post(
        "/admin/keys", json={"name": "ada", "rules": {"models": ["gemini-2.5-*"], "tokens": {"day": 9000}}}
    ) as response:
        created = await response.json()
    assert "exclude gemini-flash-latest, the default model for chat" in created["notes"][0]
    assert (await team.ask(created["key"], max_tokens=5))[0] == 200
    await team.settled()
    async with admin.get("/admin/usage", params={"client": "ada"}) as response:
        (row,) = (await response.json())["data"]
    async with admin.get("/admin/usage", params={"client": "ada", "by": "client"}) as response:
        (by_client,) = (await response.json())["data"]
    assert (by_client["client"], by_client["name"]) == (created["id"], "ada")
    async with admin.get("/admin/usage", params={"client": "bob"}) as response:
        assert (await response.json())["data"] == []
    async with admin.get("/admin/keys") as response:
        (shown,) = (await response.json())["data"]

    assert row["calls"] == 1
    assert shown["last_used"] is not None
    assert (shown["budgets"][0]["spent"], shown["budgets"][0]["left"]) == (15, 8985)
