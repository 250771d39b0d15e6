"""The last requests, one of them, those in progress, and the ledger's calls."""

import asyncio
from typing import Any

import pytest

from gateway.plugin import SERVICES
from tests.support.servers import Serve
from tests.support.team import Google, Team, refused
from tests.support.waiting import eventually


async def get(admin: Any, path: str, **query: str) -> Any:
    async with admin.get(path, params=query) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_requests_are_listed_filtered_and_explained(team: Team, google: Google, admin: Any) -> None:
    async with admin.post("/admin/keys", json={"name": "ada <img onerror>"}) as response:
        key = (await response.json())["key"]
    await team.ask(key, seed=7)
    google.answers["AIza-a"] = google.answers["AIza-b"] = lambda: refused(503, "The model is overloaded.")
    status, headers, _ = await team.ask(key)
    await team.ask("sk-gw-wrong-key-of-nobody")
    await team.settled()
    listed = await get(admin, "/admin/requests")
    first = await get(admin, "/admin/requests", limit="2")
    rest = await get(admin, "/admin/requests", limit="2", cursor=first["next"])
    failed = await get(admin, "/admin/requests", filter="status:failed key:ada*")
    shown = await get(admin, f"/admin/requests/{headers['x-request-id']}")

    assert status == 503
    assert [row["status"] for row in listed["data"]] == [401, 503, 200]
    assert (listed["held"], listed["newest"], listed["next"]) == (3, 3, None)
    assert listed["data"][2]["dollars"] > 0
    assert [row["n"] for row in (*first["data"], *rest["data"])] == [3, 2, 1]
    assert [row["key_name"] for row in failed["data"]] == ["ada <img onerror>"]
    assert shown["attempts_from"] == "ledger"
    assert [call["why"] for call in shown["attempts"]] == ["overloaded"] * len(shown["attempts"])
    offsets, total = [call["offset_ms"] for call in shown["attempts"]], shown["request"]["duration_ms"]
    assert 0 <= offsets[0] < offsets[-1] <= total  # each call begins within the request, after the one before
    assert {phase["name"] for phase in shown["phases"]} <= {"before", "failed", "pauses", "after"}
    assert sum(phase["ms"] for phase in shown["phases"]) == pytest.approx(total, abs=0.5)
    assert "overloaded" in shown["error"]["cause"]
    assert ["x-request-id", headers["x-request-id"]] in shown["headers"]


async def test_a_refusal_names_its_limit_and_its_key_to_operators_alone(team: Team, admin: Any) -> None:
    rules = {"requests_per_minute": 1, "dollars": {"day": 0.000001}}
    async with admin.post("/admin/keys", json={"name": "team-a", "rules": rules}) as response:
        issued = await response.json()
    answers = [await team.ask(issued["key"]) for _ in range(2)]
    async with admin.post(f"/admin/keys/{issued['id']}/suspend") as response:
        assert response.status == 200
    while (last := await team.ask(issued["key"]))[0] != 401:
        await asyncio.sleep(0.01)
    await team.settled()
    rows = (await get(admin, "/admin/requests"))["data"]
    limited = next(row for row in rows if row["status"] == 429 and "requests" in row["refused_by"])
    shown = await get(admin, f"/admin/requests/{limited['request_id']}")

    assert [status for status, _, _ in answers] == [429, 429]
    assert rows[-1]["refused_by"].startswith("dollars.day 0/0.000001 +0.")
    assert limited["refused_by"] == "requests_per_minute 1/1"
    assert 0 < limited["retry_after"] <= 120
    assert (shown["error"]["place"], rows[0]["refused_by"]) == ("keys", "key.suspended")
    assert (rows[0]["key"], rows[0]["key_name"]) == (issued["id"], "team-a")
    assert "team-a" not in str((last, answers))
    assert issued["id"] not in str((last, answers))


async def test_notes_have_the_sentence_of_the_field_policy(team: Team, admin: Any) -> None:
    async with admin.post("/admin/keys", json={"name": "ada"}) as response:
        key = (await response.json())["key"]
    _, headers, _ = await team.ask(key, logit_bias={"1": 2})
    shown = await get(admin, f"/admin/requests/{headers['x-request-id']}")

    assert [note["path"] for note in shown["notes"]] == ["logit_bias"]
    assert shown["notes"][0]["meaning"].startswith("Gemini has no")
    async with admin.get(
        f"/admin/requests/{headers['x-request-id']}", headers={"Accept-Language": "zh"}
    ) as response:
        assert "Gemini 没有" in (await response.json())["notes"][0]["meaning"]


async def test_a_request_in_progress_is_shown_and_cancelled(
    team: Team, google: Google, admin: Any, serve: Serve
) -> None:
    async with admin.post("/admin/keys", json={"name": "ada"}) as response:
        key = (await response.json())["key"]
    google.hold.clear()
    asking = asyncio.ensure_future(team.ask(key))
    await eventually(lambda: google.calls)
    (running,) = (await get(admin, "/admin/running"))["data"]
    async with admin.delete(f"/admin/running/{running['id']}") as response:
        assert response.status == 200
    status, _, body = await asking
    google.hold.set()

    assert (running["key_name"], running["model"], running["surface"]) == ("ada", "gemini-2.5-flash", "chat")
    assert running["attempts"] == 1
    assert (status, body["error"]["code"]) == (503, "cancelled_by_operator")
    assert not serve.app[SERVICES].running
    async with admin.delete(f"/admin/running/{running['id']}") as response:
        assert response.status == 404


async def test_calls_of_the_ledger_by_page_and_by_key(team: Team, admin: Any) -> None:
    async with admin.post("/admin/keys", json={"name": "ada"}) as response:
        key = (await response.json())["key"]
    for _ in range(3):
        await team.ask(key)
    await team.settled()
    first = await get(admin, "/admin/attempts", limit="2", client="ada")
    rest = await get(admin, "/admin/attempts", limit="2", client="ada", cursor=first["next"])

    assert len(first["data"]) == 2
    assert (len(rest["data"]), rest["next"]) == (1, None)
    assert {call["name"] for call in first["data"]} == {"ada"}
    assert (await get(admin, "/admin/attempts", client="nobody"))["data"] == []
    assert (await get(admin, "/admin/attempts", outcome="error"))["data"] == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/admin/requests?filter=staus:4", 400, "invalid_filter"), ("/admin/requests?limit=0", 400, "invalid_value"),
        ("/admin/requests?limit=501", 400, "invalid_value"), ("/admin/requests?cursor=x", 400, "invalid_value"),
        ("/admin/requests/none", 404, "not_found"), ("/admin/attempts?cursor=zz", 400, "invalid_value"),
        ("/admin/attempts?since=x", 400, "invalid_value"),
    ],
)  # fmt: skip
async def test_mistakes_are_named(admin: Any, path: str, status: int, code: str) -> None:
    async with admin.get(path) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (status, code)


async def test_without_a_ledger_the_record_tells_the_calls(
    serve: Serve, aiohttp_client: Any, google: Google
) -> None:
    from gateway.config.admin import AdminConfig
    from gateway.config.secret import Secret
    from gateway.console.app import Admin

    base = await serve()
    client = await aiohttp_client(
        Admin(lambda: serve.app[SERVICES], AdminConfig(Secret("hush"))).app(),
        headers={"Authorization": "Bearer hush"},
    )
    async with client.session.post(f"{base}/v1/chat/completions", json={}) as response:
        request_id = response.headers["x-request-id"]
    shown = await get(client, f"/admin/requests/{request_id}")

    assert (shown["attempts"], shown["attempts_from"], shown["phases"]) == ([], "record", [])
