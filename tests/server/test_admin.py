"""The admin API: keys, usage, the pool, metrics, its token."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy
from prometheus_client.parser import text_string_to_metric_families

from gateway.config.secret import Secret
from gateway.config.sections import AdminConfig
from gateway.plugin import SERVICES
from gateway.server.admin import Admin
from gateway.server.listeners import listen_admin
from gateway.store.ledger.tables import open_engine
from tests.support.rawc import RawClient
from tests.support.servers import Serve
from tests.support.team import Google, Team, refused, spent


@pytest.fixture
async def admin(team: Team, serve: Serve, aiohttp_client: Any) -> Any:
    """The admin API of a running team."""
    await team.start("ab")
    serve.environ["TOKEN"] = "hush"
    return await aiohttp_client(
        Admin(lambda: serve.app[SERVICES], Secret("hush")).app(), headers={"Authorization": "Bearer hush"}
    )


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


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/admin/usage?by=nobody", None, 400, "nobody"),
        ("GET", "/admin/usage?since=yesterday", None, 400, "since"),
        ("GET", "/admin/usage?bucket=1y", None, 400, "'1m', '1h', '1d'"),
        ("GET", "/admin/usage?since=9&until=9", None, 400, "Invalid 'since': it is not before 'until'."),
        ("GET", "/v1/organization/usage/completions?start_time=9&end_time=8", None, 400, "Invalid 'start_time': it is not before 'end_time'."),
        ("GET", "/admin/usage?since=monday", None, 400, "Invalid 'since': expected seconds since 1970."),
        ("GET", "/v1/organization/usage/completions?start_time=x", None, 400, "Invalid 'start_time': expected seconds"),
        ("GET", "/v1/organization/usage/completions?bucket_width=1y", None, 400, '"param": "bucket_width"'),
        ("GET", "/v1/organization/usage/completions?group_by=user_id", None, 400, "Invalid value: 'user_id'. Supported values are: 'model', 'api_key_id', 'project_id'."),
        ("POST", "/admin/keys", {"nam": "x"}, 400, "nam"), ("POST", "/admin/keys", {"name": "x", "rules": {"models": 5}}, 400, "models"),
        ("GET", "/admin/nothing", None, 404, "Not Found"), ("PUT", "/admin/keys", None, 405, "Method"),
        ("DELETE", "/admin/keys/key_x", None, 404, "No API key with id 'key_x'"),
    ],
)  # fmt: skip
async def test_mistakes_of_the_operator_are_errors_with_a_reason(
    admin: Any, method: str, path: str, body: Any, status: int, message: str
) -> None:
    async with admin.request(method, path, json=body) as response:
        assert response.status == status
        assert message in json.dumps((await response.json())["error"])


async def test_the_admin_api_wants_its_token(admin: Any) -> None:
    for value in ("", "Bearer wrong", "hush "):
        async with admin.get("/admin/keys", headers={"Authorization": value}) as response:
            assert response.status == (200 if value == "hush " else 401)
            if not value:
                assert (await response.json())["error"]["message"].startswith("No admin token provided: ")


@pytest.fixture
async def listener(team: Team, serve: Serve) -> AsyncIterator[str]:
    """The URL of the admin listener of a running team."""
    await team.start("ab")
    app = Admin(lambda: serve.app[SERVICES], Secret(TOKEN)).app()
    runner = await listen_admin(app, AdminConfig(port=0), [])
    assert runner is not None
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


TOKEN = "hush-hush-Zk7Qw9LmX2cVb4Ns"


@pytest.mark.row("A9")
@pytest.mark.parametrize(
    "line",
    [
        b"Authorization : Bearer %s", b"Authorization: Bearer %s\x01", b"Authorization: Bearer %s\xff", b"Authorization: Bearer \xff",
        b"Authorization: Bearer \xc3\xa9%s", b" Authorization: Bearer %s", b"Authorization\x00: Bearer %s", b"Authorization: %s\x7f",
        b"Expect: %s", b"Transfer-Encoding: %s", b"Content-Length: %s", b"X: " + b"x" * 9000 + b"%s", b"Host: %s\x00",
    ],
)  # fmt: skip
async def test_a09_a_spoilt_request_is_refused_in_json_without_the_token(
    listener: str, line: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    async with await RawClient.open(listener) as client:
        head = b"GET /admin/keys HTTP/1.1\r\nHost: x\r\n" + line.replace(b"%s", TOKEN.encode())
        await client.send(head + b"\r\n\r\n")
        status, headers, body = await client.response()

    assert 400 <= status < 500
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["error"]["message"]
    assert TOKEN.encode() not in body
    assert TOKEN not in "".join(capfd.readouterr())


@pytest.mark.row("A9")
@pytest.mark.parametrize(
    "request_line",
    [b"GET /nothing", b"BREW /admin/keys", b"DELETE /admin/keys", b"POST /admin/keys", b"TRACE /"],
)
async def test_a09_every_refusal_of_the_admin_listener_is_json(listener: str, request_line: bytes) -> None:
    async with await RawClient.open(listener) as client:
        await client.send(
            request_line + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n"
        )
        status, headers, body = await client.response()

    assert 400 <= status < 500
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["error"]["message"]


@pytest.mark.row("A9")
async def test_a09_a_full_disk_is_a_503_that_says_so(
    team: Team, admin: Any, capfd: pytest.CaptureFixture[str], event_lines: list[dict[str, Any]]
) -> None:
    engine = open_engine(str(team.file), None)
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    engine.dispose()

    def limited(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    sqlalchemy.event.listen(sqlalchemy.pool.Pool, "checkout", limited)
    try:
        answers = []
        for _ in range(200):
            async with admin.post(
                "/admin/keys", json={"name": "x" * 80, "rules": {"models": ["m" * 200] * 20}}
            ) as response:
                answers.append((response.status, await response.json()))
            if answers[-1][0] != 201:
                break
    finally:
        sqlalchemy.event.remove(sqlalchemy.pool.Pool, "checkout", limited)
    status, body = answers[-1]

    assert status == 503
    assert body["error"] == {
        "message": "The ledger's database cannot be used: database or disk is full",
        "type": "server_error", "param": None, "code": "ledger_unavailable",
    }  # fmt: skip
    assert "Traceback" not in "".join(capfd.readouterr())
    assert [line["message"] for line in event_lines if line.get("level") == "error"] == [
        "the admin API cannot use the ledger's database: database or disk is full"
    ]
    assert "trace" not in event_lines[-1]


@pytest.mark.row("A9")
async def test_a09_a_fault_of_the_gateway_is_json_and_its_text_is_nowhere(
    admin: Any, event_lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(f"with {TOKEN}")

    monkeypatch.setattr("gateway.store.ledger.client_keys.issued", broken)
    async with admin.get("/admin/keys") as response:
        assert response.status == 500
        assert (await response.json())["error"]["type"] == "server_error"

    assert event_lines[0]["trace"].startswith("RuntimeError\n")
    assert TOKEN not in str(event_lines)
