"""Requests that the admin listener refuses, and the headers of its answers."""

from typing import Any

import pytest

from gateway.config.admin import AdminConfig, OperatorConfig, TrustConfig
from gateway.config.secret import Secret
from gateway.console.app import Admin
from gateway.plugin import SERVICES
from tests.support.servers import Serve
from tests.support.team import Team

OWN = {"X-Console": "1", "Sec-Fetch-Site": "same-origin"}
CONFIG = AdminConfig(
    Secret("hush"),
    {"wall": OperatorConfig(Secret("wall-token"), "read")},
    TrustConfig("X-User", ("127.0.0.1",)),
    ("console.example.com",),
)


@pytest.fixture
async def browser(team: Team, serve: Serve, aiohttp_client: Any) -> Any:
    """A browser at the console of a running team, not signed in. Its cookies are those of 127.0.0.1."""
    await team.start("ab")
    return await aiohttp_client(Admin(lambda: serve.app[SERVICES], CONFIG).app())


async def code(response: Any) -> tuple[int, str]:
    return response.status, (await response.json()).get("error", {}).get("code", "")


async def sign_in(browser: Any, token: str = "hush", **headers: str) -> Any:
    return await browser.post("/console/session", json={"token": token}, headers={**OWN, **headers})


async def test_a_change_needs_the_console_s_own_page(browser: Any) -> None:
    await sign_in(browser)
    refused = [
        {}, {"X-Console": "1"}, {"Sec-Fetch-Site": "same-origin"}, {"X-Console": "1", "Sec-Fetch-Site": "same-site"},
        {"X-Console": "1", "Sec-Fetch-Site": "none"}, {"X-Console": "1", "Origin": "http://evil.example"},
        {"X-Console": "1", "Sec-Fetch-Site": "cross-site", "Origin": f"http://127.0.0.1:{browser.port}"},
    ]  # fmt: skip
    for headers in refused:
        response = await browser.post("/admin/keys", json={"name": "x"}, headers=headers)
        assert await code(response) == (403, "cross_site"), headers
    older = {"X-Console": "1", "Origin": f"http://127.0.0.1:{browser.port}"}
    for headers in (OWN, older):
        response = await browser.post("/admin/keys", json={"name": "x"}, headers=headers)
        assert response.status == 201


async def test_a_foreign_page_cannot_sign_in_or_out(browser: Any) -> None:
    response = await browser.post("/console/session", json={"token": "hush"})
    assert await code(response) == (403, "cross_site")
    await sign_in(browser)
    assert await code(await browser.delete("/console/session")) == (403, "cross_site")
    assert (await browser.get("/console/session")).status == 200


async def test_another_name_of_the_address_is_refused(browser: Any) -> None:
    await sign_in(browser)
    value = next(iter(browser.session.cookie_jar)).value
    cookie = {"Cookie": "; ".join(f"gw_console{port}={value}" for port in ("", "_1", "_80", "_443"))}
    for host in (
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "",
        "evil.example:127.0.0.1",
    ):
        for path in ("/", "/admin/pool", "/console/session"):
            response = await browser.get(path, headers={"Host": host, **cookie})
            assert await code(response) == (421, "foreign_host"), host
    for host in ("localhost:1", "[::1]", "127.0.0.1", "Console.example.com:443"):
        assert (await browser.get("/admin/pool", headers={"Host": host, **cookie})).status == 200, host
    bearer = {"Host": "gateway:8081", "Authorization": "Bearer hush"}
    assert (await browser.get("/admin/pool", headers=bearer)).status == 200
    assert (await browser.get("/metrics", headers={"Host": "gateway:8081"})).status == 200


async def test_an_operator_who_may_read_changes_nothing(browser: Any) -> None:
    bearer = {"Authorization": "Bearer wall-token"}
    assert (await browser.get("/admin/keys", headers=bearer)).status == 200
    for headers in (bearer, OWN):
        response = await browser.post("/admin/keys", json={"name": "x"}, headers=headers)
        assert await code(response) == ((403, "read_only") if headers is bearer else (401, "signed_out"))
    await sign_in(browser, "wall-token")
    assert (await browser.get("/admin/keys")).status == 200
    response = await browser.delete("/admin/keys/key_x", headers=OWN)
    assert await code(response) == (403, "read_only")
    assert (await browser.delete("/console/session", headers=OWN)).status == 200


async def test_a_trusted_proxy_signs_in_and_its_changes_need_the_own_page(browser: Any) -> None:
    user = {"X-User": "ada@example.com"}
    session = await (await browser.get("/console/session", headers=user)).json()
    assert (session["name"], session["how"], session["expires"]) == ("ada@example.com", "header", None)
    assert await code(await browser.post("/admin/keys", json={"name": "x"}, headers=user)) == (
        403,
        "cross_site",
    )
    response = await browser.post("/admin/keys", json={"name": "x"}, headers={**user, **OWN})
    assert response.status == 201


async def test_wrong_tokens_end_in_429(event_lines: list[dict[str, Any]], browser: Any) -> None:
    answers = [await code(await sign_in(browser, "guess")) for _ in range(4)]
    answers.append(await code(await browser.get("/admin/keys", headers={"Authorization": "Bearer guess"})))
    limited = await sign_in(browser, "hush")

    assert answers == [(401, "invalid_admin_token")] * 5
    assert await code(limited) == (429, "too_many_attempts")
    assert 50 < int(limited.headers["retry-after"]) <= 60
    lines = [line for line in event_lines if line["event"] == "admin"]
    assert [line["what"] for line in lines] == ["session.refused"] * 5
    assert "guess" not in str(lines)


@pytest.mark.parametrize("path", ["/", "/console/session", "/admin/keys", "/metrics", "/nothing"])
async def test_every_answer_has_the_headers(browser: Any, path: str) -> None:
    response = await browser.get(path)
    policy = response.headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in response.headers
    assert len(response.headers["x-console-build"]) == 12


async def test_without_a_token_only_the_metrics_and_the_page_that_says_so(
    team: Team, serve: Serve, aiohttp_client: Any
) -> None:
    await team.start("a")
    browser = await aiohttp_client(Admin(lambda: serve.app[SERVICES], AdminConfig()).app())
    for headers in ({}, {"Authorization": "Bearer x"}):
        assert await code(await browser.get("/admin/pool", headers=headers)) == (401, "no_admin_token")
    assert await code(await sign_in(browser)) == (401, "no_admin_token")
    assert (await browser.get("/")).status == 200
    assert (await browser.get("/metrics")).status == 200
