"""Endpoints of the pool."""

from typing import Any

import pytest

from tests.support.team import Google, Team, refused


@pytest.mark.row("A1")
async def test_a01_a_retired_key_is_logged_counted_and_put_back(
    team: Team, google: Google, admin: Any, event_lines: list[dict[str, Any]]
) -> None:
    async with admin.post("/admin/keys", json={"name": "ada"}) as response:
        key = (await response.json())["key"]
    google.answers["AIza-a"] = google.answers["AIza-b"] = lambda: refused(
        403, "Your API key was reported as leaked. Please use another API key."
    )
    assert (await team.ask(key))[0] == 503
    async with admin.get("/metrics") as response:
        metrics = await response.text()
    async with admin.get("/admin/pool") as response:
        states = {state["project"]: state for state in (await response.json())["data"]}
    lines = {line["project"]: line for line in event_lines if line["event"] == "pool"}
    for project in "ab":
        key_id = states[project]["key_id"]
        labels = f'{{key="{key_id}",project="{project}",reason="leaked"}}'
        assert states[project]["reason"] == "leaked"
        assert f"gateway_pool_refused_total{labels} 1.0" in metrics
        assert (lines[project]["key"], lines[project]["reason"]) == (key_id, "leaked")
        assert "replace it" in lines[project]["message"]

    google.answers.clear()
    body = {"project": "a", "key_id": states["a"]["key_id"]}
    async with admin.post("/admin/pool/put_back", json=body) as response:
        assert (response.status, await response.json()) == (200, {"done": True})
    assert event_lines[-1]["reason"] == "put_back"
    assert (await team.ask(key))[0] == 200
    assert google.calls == {"AIza-a": 2, "AIza-b": 1}
    async with admin.post("/admin/pool/put_back", json={"project": "nil"}) as response:
        assert (response.status, "nil" in await response.text()) == (404, True)


async def test_o23_a_project_without_credit_is_shown_with_what_to_do(
    team: Team, google: Google, admin: Any, event_lines: list[dict[str, Any]]
) -> None:
    async with admin.post("/admin/keys", json={"name": "ada"}) as response:
        key = (await response.json())["key"]
    google.answers["AIza-a"] = google.answers["AIza-b"] = lambda: refused(
        429,
        "Your project has exceeded its monthly spending cap. Please go to AI Studio at https://ai.studio/spend.",
    )
    status, answer = (await team.ask(key))[:2]
    async with admin.get("/admin/pool") as response:
        states = {state["project"]: state for state in (await response.json())["data"] if not state["key_id"]}
    async with admin.get("/metrics") as response:
        metrics = await response.text()

    assert status == 503
    assert "AI Studio" not in str(answer)
    assert google.calls == {"AIza-a": 1, "AIza-b": 1}
    await team.ask(key, model="gemini-3-pro")
    assert google.calls == {"AIza-a": 1, "AIza-b": 1}
    lines = {line["project"]: line for line in event_lines if line["event"] == "pool"}
    for project in "ab":
        assert (states[project]["state"], states[project]["reason"]) == ("refused", "spent")
        assert "Raise the cap" in states[project]["advice"]
        assert lines[project]["message"] == states[project]["advice"]
        labels = f'{{key="",model="",project="{project}",reason="spent"}}'
        assert f"gateway_pool_cooling_down{labels} 1.0" in metrics
