"""The admin API: keys, usage, the pool, metrics, its token."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy

from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret
from gateway.console.app import Admin
from gateway.plugin import SERVICES
from gateway.server.connection.listeners import listen_admin
from gateway.store.ledger.tables import open_engine
from tests.support.rawc import RawClient
from tests.support.servers import Serve
from tests.support.team import Team


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
        ("GET", "/admin/nothing", None, 404, "Unknown request URL"), ("PUT", "/admin/keys", None, 405, "Method"),
        ("DELETE", "/admin/keys/key_x", None, 404, "No API key with id 'key_x'"),
    ],
)  # fmt: skip
async def test_mistakes_of_the_operator_are_errors_with_a_reason(
    admin: Any, method: str, path: str, body: Any, status: int, message: str
) -> None:
    async with admin.request(method, path, json=body) as response:
        assert response.status == status
        assert message in json.dumps((await response.json())["error"])


@pytest.mark.parametrize("path", ["/console", "/console/"])
async def test_addresses_near_the_console_lead_to_it(admin: Any, path: str) -> None:
    async with admin.get(path, headers={"Authorization": ""}, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "/")


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
    app = Admin(lambda: serve.app[SERVICES], AdminConfig(Secret(TOKEN))).app()
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
