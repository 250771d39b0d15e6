"""Sign in, look, sign out."""

from http.cookies import SimpleCookie
from typing import Any

import pytest
from aiohttp import CookieJar

from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret
from gateway.console.app import Admin
from gateway.plugin import SERVICES
from tests.support.servers import Serve
from tests.support.team import Team

OWN = {"X-Console": "1", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def browser(team: Team, serve: Serve, aiohttp_client: Any) -> Any:
    await team.start("ab")
    return await aiohttp_client(Admin(lambda: serve.app[SERVICES], AdminConfig(Secret("hush"))).app())


async def test_a_session_from_its_beginning_to_its_end(
    event_lines: list[dict[str, Any]], browser: Any
) -> None:
    assert (await browser.get("/console/session")).status == 401
    begun = await browser.post("/console/session", json={"token": "hush"}, headers=OWN)
    shown = await (await browser.get("/console/session")).json()
    keys = await browser.get("/admin/keys")
    ended = await browser.delete("/console/session", headers=OWN)

    name = f"gw_console_{browser.port}"
    cookie = SimpleCookie(begun.headers["Set-Cookie"])[name]
    assert (await begun.json())["name"] == "admin"
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (
        True,
        "Strict",
        "/",
        "",
    )
    assert "hush" not in begun.headers["Set-Cookie"]
    assert (shown["name"], shown["may"], shown["how"], shown["exposed"]) == (
        "admin",
        "write",
        "cookie",
        False,
    )
    assert keys.status == 200
    assert SimpleCookie(ended.headers["Set-Cookie"])[name]["max-age"] == "0"
    assert (await browser.get("/admin/keys")).status == 401
    assert (await browser.get("/admin/keys", headers={"Cookie": f"{name}={cookie.value}"})).status == 401
    (line,) = [line for line in event_lines if line["event"] == "admin"]
    assert (line["operator"], line["what"]) == ("admin", "session.begin")


async def test_a_browser_that_speaks_https_gets_a_secure_cookie(browser: Any) -> None:
    headers = {**OWN, "X-Forwarded-Proto": "https"}
    response = await browser.post("/console/session", json={"token": "hush"}, headers=headers)

    (cookie,) = SimpleCookie(response.headers["Set-Cookie"]).values()
    assert cookie["secure"] is True


async def test_an_unprotected_way_is_named(team: Team, serve: Serve, aiohttp_client: Any) -> None:
    await team.start("a")
    config = AdminConfig(Secret("hush"), hosts=("console.example.com",))
    browser = await aiohttp_client(Admin(lambda: serve.app[SERVICES], config).app())
    begun = await browser.post("/console/session", json={"token": "hush"}, headers=OWN)
    (cookie,) = SimpleCookie(begun.headers["Set-Cookie"]).values()
    headers = {"Cookie": f"gw_console={cookie.value}", "Host": "console.example.com"}
    plain = await (await browser.get("/console/session", headers=headers)).json()
    headers["X-Forwarded-Proto"] = "https"
    secure = await (await browser.get("/console/session", headers=headers)).json()

    assert (plain["exposed"], secure["exposed"]) == (True, False)


async def test_two_consoles_on_one_name_have_a_session_each(
    team: Team, serve: Serve, aiohttp_client: Any
) -> None:
    await team.start("a")
    tokens = ("hush", "another")
    apps = [Admin(lambda: serve.app[SERVICES], AdminConfig(Secret(token))).app() for token in tokens]
    jar = CookieJar(unsafe=True)  # of one browser, which tells names apart, but not ports
    consoles = [await aiohttp_client(app, cookie_jar=jar) for app in apps]
    for console, token in zip(consoles, tokens, strict=True):
        assert (await console.post("/console/session", json={"token": token}, headers=OWN)).status == 200

    assert [(await console.get("/console/session")).status for console in consoles] == [200, 200]
    await consoles[1].delete("/console/session", headers=OWN)
    assert [(await console.get("/console/session")).status for console in consoles] == [200, 401]


@pytest.mark.parametrize("body", [{}, {"token": 5}, {"token": "x" * 5000}, {"tokens": "hush"}])
async def test_mistakes_of_signing_in_are_400(browser: Any, body: Any) -> None:
    response = await browser.post("/console/session", json=body, headers=OWN)

    assert response.status == 400
