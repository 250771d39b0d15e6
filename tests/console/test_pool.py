"""Endpoints of the pool."""

from pathlib import Path
from typing import Any

import pytest

from tests.console.conftest import open_admin
from tests.support.servers import Serve
from tests.support.team import Google, Team, refused
from tests.support.vertex import vertex_team


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


async def call(admin: Any, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with admin.request(method, path, json=body) as response:
        return response.status, await response.json()


async def projects(admin: Any) -> dict[str, Any]:
    return {project["name"]: project for project in (await call(admin, "GET", "/admin/pool"))[1]["projects"]}


async def test_a_cell_shows_what_google_said_and_what_was_learnt(
    team: Team, google: Google, admin: Any
) -> None:
    _, created = await call(admin, "POST", "/admin/keys", {"name": "ada"})
    google.answers["AIza-a"] = google.answers["AIza-b"] = lambda: refused(
        429,
        "You exceeded your current quota for key AIzaSyD-secret-secret-secret-secret-secr.",
        QuotaFailure={
            "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel", "quotaValue": "10"}]
        },
    )
    assert (await team.ask(created["key"]))[0] == 429
    (cell,) = (await projects(admin))["a"]["cells"]

    assert (cell["model"], cell["state"], cell["reason"]) == ("gemini-2.5-flash", "cooling_down", "day")
    assert cell["why"] == "the day's quota is spent"
    async with admin.get("/admin/pool", headers={"Accept-Language": "zh-CN"}) as response:
        (chinese,) = (await response.json())["projects"][0]["cells"]
    assert chinese["why"] == "当日配额已用完"
    assert cell["said"].startswith("You exceeded your current quota for key ")
    assert "secret" not in cell["said"]
    (ceiling,) = cell["ceilings"]
    assert (ceiling["per"], ceiling["counts"], ceiling["limit"], ceiling["used"]) == (
        "day",
        "requests",
        10,
        1,
    )

    google.answers.clear()
    assert (await team.ask(created["key"]))[0] == 429
    for project in "ab":
        body = {"model": "gemini-2.5-flash"}
        assert await call(admin, "POST", f"/admin/pool/{project}/clear", body) == (200, {"done": True})
    assert (await projects(admin))["a"]["cells"][0]["state"] == "ready"
    assert (await team.ask(created["key"]))[0] == 200


async def test_a_paused_project_is_not_used_until_it_is_resumed(
    event_lines: list[dict[str, Any]], team: Team, google: Google, admin: Any
) -> None:
    _, created = await call(admin, "POST", "/admin/keys", {"name": "ada"})
    for project in "ab":
        assert (await call(admin, "POST", f"/admin/pool/{project}/pause"))[0] == 200
    paused = await projects(admin)
    status, _, _ = await team.ask(created["key"])
    await call(admin, "POST", "/admin/pool/b/resume")
    assert (await team.ask(created["key"]))[0] == 200

    assert (paused["a"]["state"], paused["a"]["paused"], status) == ("paused", True, 503)
    assert set(google.calls) == {"AIza-b"}
    assert (await projects(admin))["b"]["state"] == "ready"
    assert [line["what"] for line in event_lines if line["event"] == "admin"][-3:] == [
        "pool.pause", "pool.pause", "pool.resume",
    ]  # fmt: skip
    await call(admin, "POST", "/admin/pool/b/pause")
    (cell,) = (await projects(admin))["b"]["cells"]
    assert (cell["state"], cell["why"], cell["until"]) == ("paused", "by an operator", None)
    assert paused["a"]["until"] is None  # and not ten years


async def test_everything_of_a_project_is_cleared_at_once(team: Team, google: Google, admin: Any) -> None:
    _, created = await call(admin, "POST", "/admin/keys", {"name": "ada"})
    google.answers["AIza-a"] = google.answers["AIza-b"] = lambda: refused(
        403, "Your API key was reported as leaked."
    )
    assert (await team.ask(created["key"]))[0] == 503
    (key,) = (await projects(admin))["a"]["keys"]
    google.answers.clear()
    await call(admin, "POST", "/admin/pool/a/clear")
    await call(
        admin, "POST", "/admin/pool/b/clear", {"key_id": (await projects(admin))["b"]["keys"][0]["id"]}
    )

    assert (key["state"], key["reason"]) == ("refused", "leaked")
    assert "replace it" in key["advice"]
    assert {entry["keys"][0]["state"] for entry in (await projects(admin)).values()} == {"ready"}


async def test_a_probe_asks_google_once(team: Team, google: Google, admin: Any) -> None:
    good = await call(admin, "POST", "/admin/pool/a/probe", {"model": "gemini-2.5-flash"})
    google.answers["AIza-a"] = lambda: refused(400, "API key not valid. Please pass a valid API key.")
    bad = await call(admin, "POST", "/admin/pool/a/probe", {"model": "gemini-2.5-flash"})

    assert (good[0], good[1]["ok"], good[1]["status"]) == (200, True, 200)
    assert (bad[1]["ok"], bad[1]["status"]) == (False, 400)
    assert bad[1]["said"]
    assert google.calls["AIza-a"] == 2


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/admin/pool/none/clear", {}, 404), ("/admin/pool/none/pause", None, 404), ("/admin/pool/none/resume", None, 404),
        ("/admin/pool/none/probe", {"model": "m"}, 404), ("/admin/pool/a/probe", {"model": "../m"}, 400),
        ("/admin/pool/a/clear", {"key_id": "none"}, 404), ("/admin/pool/a/clear", {"modle": "x"}, 400),
    ],
)  # fmt: skip
async def test_mistakes_are_named(admin: Any, path: str, body: Any, status: int) -> None:
    assert (await call(admin, "POST", path, body))[0] == status


async def test_a_pause_survives_a_restart(team: Team, admin: Any, serve: Serve) -> None:
    await call(admin, "POST", "/admin/pool/a/pause")
    await serve.stop()
    await team.start("ab")

    assert (await projects(admin))["a"]["state"] == "paused"


async def test_a_project_on_vertex_is_shown_and_probed_there(
    serve: Serve, tmp_path: Path, aiohttp_server: Any, aiohttp_client: Any
) -> None:
    """Vertex AI describes no models, so the probe counts."""
    vertex = await vertex_team(serve, tmp_path, aiohttp_server)
    await vertex.start("express europe-west4 gemini")
    admin = await open_admin(serve, aiohttp_client)

    shown = await projects(admin)
    good = await call(admin, "POST", "/admin/pool/express/probe", {"model": "gemini-2.5-flash"})
    gone = await call(admin, "POST", "/admin/pool/in-europe-west4/probe", {"model": "gemini-3.5-flash"})
    async with admin.get("/metrics") as response:
        metrics = await response.text()

    places = {name: (entry["kind"], entry["location"]) for name, entry in shown.items()}
    assert places["in-europe-west4"] == ("vertex", "europe-west4")
    assert (places["express"], places["gemini"]) == (("vertex", "global"), ("gemini", ""))
    assert (good[1]["ok"], good[1]["status"]) == (True, 200)
    assert (gone[1]["ok"], gone[1]["status"]) == (False, 404)
    assert 'gateway_pool_projects{kind="vertex",project="in-europe-west4"} 1.0' in metrics


async def test_a_model_that_vertex_does_not_have_is_shown_with_what_to_do(
    serve: Serve, tmp_path: Path, aiohttp_server: Any, aiohttp_client: Any
) -> None:
    vertex = await vertex_team(serve, tmp_path, aiohttp_server)
    key = vertex.issue()
    await vertex.start("europe-west4")
    admin = await open_admin(serve, aiohttp_client)
    assert (await vertex.ask(key, model="gemini-3.5-flash"))[0] == 404

    ((cell,),) = (entry["cells"] for entry in (await projects(admin)).values())
    assert (cell["state"], cell["reason"]) == ("cooling_down", "unserved")
    assert cell["said"].startswith("Publisher Model `publishers/google/models/gemini-3.5-flash`")
