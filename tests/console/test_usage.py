"""Endpoints of usage, and the metrics."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.team import Google, Team, refused, spent


async def issued(admin: Any, name: str) -> str:
    async with admin.post("/admin/keys", json={"name": name}) as response:
        key: str = (await response.json())["key"]
    return key


async def test_o16_metrics_show_names_of_keys_dollars_and_the_model_of_failures(
    team: Team, google: Google, admin: Any
) -> None:
    ada, bob = await issued(admin, 'a"d\\a'), await issued(admin, "team")
    bob_too = await issued(admin, "team")
    for key in (ada, ada, bob, bob_too):
        assert (await team.ask(key))[0] == 200
    google.answers["AIza-a"] = google.answers["AIza-b"] = lambda: refused(400)
    assert (await team.ask(bob))[0] == 400
    assert (await team.ask("AQ.own"))[0] == 200
    cost = sum(row.micros for row in await team.settled() if row.outcome == "ok") / 5e6
    async with admin.get("/metrics") as response:
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}

    def values(name: str) -> dict[tuple[str, ...], float]:
        return {tuple(v for _, v in sorted(s.labels.items())): s.value for s in families[name].samples}

    flash, a = "gemini-2.5-flash", 'a"d\\a'
    assert values("gateway_client_requests") == {
        (a, "200"): 2, ("team", "200"): 2, ("team", "400"): 1, ("", "200"): 1,
    }  # fmt: skip
    assert values("gateway_client_tokens")["team", "input"] == 20
    assert cost > 0
    assert values("gateway_cost_dollars") == pytest.approx(
        {(a, flash): 2 * cost, ("team", flash): 2 * cost, ("", flash): cost}
    )
    assert values("gateway_exchanges") == {(flash, "200"): 5, (flash, "400"): 1}


async def test_usage_pool_and_metrics_by_the_admin_api(team: Team, google: Google, admin: Any) -> None:
    async with admin.post("/admin/keys", json={"name": "ada"}) as response:
        created = await response.json()
    assert (await team.ask(created["key"]))[0] == 200
    google.answers["AIza-a"] = google.answers["AIza-b"] = lambda: spent("RequestsPerDay")
    await team.ask(created["key"])
    async with admin.get("/admin/usage", params={"by": "client,model,outcome", "bucket": "1d"}) as response:
        rows = (await response.json())["data"]
    assert [(row["client"], row["outcome"], row["calls"]) for row in rows] == [
        (created["id"], "error", 2), (created["id"], "ok", 1),
    ]  # fmt: skip
    async with admin.get("/admin/pool") as response:
        states = (await response.json())["data"]
    assert {(entry["project"], entry["reason"]) for entry in states if entry["model"]} == {
        ("a", "day"),
        ("b", "day"),
    }
    query = [("start_time", "0"), ("group_by[]", "model"), ("group_by[]", "api_key_id")]
    async with admin.get("/v1/organization/usage/completions", params=query) as response:
        page = await response.json()
    (bucket,) = page["data"]
    assert (bucket["results"][0]["num_model_requests"], bucket["results"][0]["api_key_id"]) == (
        3,
        created["id"],
    )
    async with admin.get("/metrics", headers={"Authorization": ""}) as response:
        text = await response.text()
    assert 'gateway_pool_cooling_down{key="",model="gemini-2.5-flash",project="a",reason="day"} 1.0' in text
    assert 'gateway_errors_total{code="rate_limit_exceeded",status="429"} 1.0' in text
    assert 'gateway_upstream_errors_total{cause="quota_per_day",model="gemini-2.5-flash"} 2.0' in text
    assert "AIza" not in text


async def test_usage_has_failures_percentiles_and_csv(team: Team, google: Google, admin: Any) -> None:
    async with admin.post("/admin/keys", json={"name": "=cmd()"}) as response:
        key = (await response.json())["key"]
    await team.ask(key)
    google.answers["AIza-a"] = google.answers["AIza-b"] = lambda: refused(400, "no")
    await team.ask(key)
    await team.settled()
    async with admin.get("/admin/usage?by=client&percentiles=1&model=gemini-2.5-flash") as response:
        (row,) = (await response.json())["data"]
    async with admin.get("/admin/usage?by=client&project=none") as response:
        none = (await response.json())["data"]
    async with admin.get("/admin/usage?by=client,model&format=csv") as response:
        lines = (await response.text()).splitlines()
        kind = response.headers["Content-Type"]
    async with admin.get("/admin/usage?format=xml") as response:
        assert response.status == 400

    assert (row["calls"], row["failures"], row["name"], row["estimated"]) == (2, 1, "=cmd()", 0)
    assert 0 < row["duration_p50_ms"] <= row["duration_p95_ms"] < 1e5
    assert row["dollars"] * 1e6 == pytest.approx(row["micros"])
    assert none == []
    assert kind.startswith("text/csv")
    assert lines[0].startswith("start,client,project,model")
    assert "'=cmd()" in lines[1]


def test_the_bounds_are_those_of_the_ledger() -> None:
    from gateway.console import usage
    from gateway.store.ledger import tables

    assert usage.BOUNDS == tables.BOUNDS
