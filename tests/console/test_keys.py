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


async def call(admin: Any, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with admin.request(method, path, json=body) as response:
        return response.status, await response.json()


async def test_a_suspended_key_is_refused_until_it_is_resumed(team: Team, admin: Any) -> None:
    _, created = await call(admin, "POST", "/admin/keys", {"name": "ada", "note": "for the demo"})
    path = f"/admin/keys/{created['id']}"
    assert (await team.ask(created["key"]))[0] == 200
    assert await call(admin, "POST", f"{path}/suspend") == (200, {"done": True})
    status, _, refusal = await team.ask(created["key"])
    _, shown = await call(admin, "GET", path)
    assert await call(admin, "POST", f"{path}/resume") == (200, {"done": True})

    assert (status, "it is suspended" in refusal["error"]["message"]) == (401, True)
    assert (shown["state"], shown["note"]) == ("suspended", "for the demo")
    assert (await team.ask(created["key"]))[0] == 200
    assert (await call(admin, "POST", "/admin/keys/key_x/suspend"))[0] == 404


async def test_an_old_key_is_accepted_for_its_grace_period(team: Team, admin: Any) -> None:
    _, created = await call(admin, "POST", "/admin/keys", {"name": "ada"})
    path = f"/admin/keys/{created['id']}"
    _, renewed = await call(admin, "POST", f"{path}/rotate", {"grace": 3600})
    _, shown = await call(admin, "GET", path)
    statuses = [(await team.ask(key))[0] for key in (created["key"], renewed["key"])]
    _, again = await call(admin, "POST", f"{path}/rotate")
    later = [(await team.ask(key))[0] for key in (created["key"], renewed["key"], again["key"])]

    assert statuses == [200, 200]
    assert shown["grace_until"] == renewed["grace_until"] > 3000
    assert (later, again["grace_until"]) == ([401, 401, 200], None)
    assert (await call(admin, "POST", f"{path}/rotate", {"grace": 1e9}))[0] == 400


async def test_a_key_is_renamed_and_its_expiry_changed(team: Team, admin: Any) -> None:
    _, created = await call(admin, "POST", "/admin/keys", {"name": "ada", "days": 2})
    path = f"/admin/keys/{created['id']}"
    assert (await call(admin, "PATCH", path, {"name": "<img onerror>", "note": "宽" * 80}))[0] == 200
    _, renamed = await call(admin, "GET", path)
    assert (await call(admin, "PATCH", path, {"expires": 1.0, "rules": {"streams": 2}}))[0] == 200
    _, expired = await call(admin, "GET", path)
    refused_status = (await team.ask(created["key"]))[0]
    assert (await call(admin, "PATCH", path, {"expires": None}))[0] == 200
    _, endless = await call(admin, "GET", path)

    assert (renamed["name"], renamed["note"], renamed["rules"]) == ("<img onerror>", "宽" * 80, {})
    assert (expired["state"], expired["rules"], refused_status) == ("expired", {"streams": 2}, 401)
    assert (endless["state"], endless["expires"]) == ("active", None)
    for body in ({}, {"name": ""}, {"name": 5}, {"nam": "x"}, {"note": "x" * 201}):
        assert (await call(admin, "PATCH", path, body))[0] == 400
    assert (await call(admin, "PATCH", "/admin/keys/key_x", {"name": "x"}))[0] == 404


async def test_keys_are_listed_by_page_text_and_state(admin: Any) -> None:
    created = [(await call(admin, "POST", "/admin/keys", {"name": f"key {n}"}))[1]["id"] for n in range(5)]
    await call(admin, "POST", f"/admin/keys/{created[0]}/suspend")
    _, first = await call(admin, "GET", "/admin/keys?limit=2")
    _, second = await call(admin, "GET", f"/admin/keys?limit=2&cursor={first['next']}")
    _, last = await call(admin, "GET", f"/admin/keys?limit=2&cursor={second['next']}")
    _, suspended = await call(admin, "GET", "/admin/keys?state=suspended&limit=1")
    _, named = await call(admin, "GET", "/admin/keys?q=KEY+3")

    assert sorted(key["id"] for page in (first, second, last) for key in page["data"]) == sorted(created)
    assert (last["next"], first["total"]) == (None, 5)
    assert [key["id"] for key in suspended["data"]] == [created[0]]
    assert [key["name"] for key in named["data"]] == ["key 3"]


async def test_a_key_shows_what_is_left_of_its_limits_now(team: Team, admin: Any) -> None:
    _, created = await call(
        admin, "POST", "/admin/keys", {"name": "ada", "rules": {"requests_per_minute": 30}}
    )
    await team.ask(created["key"])
    _, shown = await call(admin, "GET", f"/admin/keys/{created['id']}")

    assert [(limit["counted"], limit["limit"], limit["left"]) for limit in shown["limits"]] == [
        ("requests", 30, 29)
    ]
    assert shown["running"] == 0
    assert isinstance(shown["usage"], list)
