"""CORS as a browser sees it: preflights, exposed headers, restricted origins, `Vary`."""

from collections.abc import Iterable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.config.sections import CorsConfig
from gateway.plugin import Plugin
from gateway.policy.clients.rate_limits import Window, WindowState
from gateway.server.cors import Cors
from gateway.server.plugin_loader import BUILT_IN
from tests.support.servers import Fake, Serve

CHAT, UNKNOWN = "/v1/chat/completions", "/nowhere/at/all"
GOOD, ALSO_GOOD, BAD = "https://good.example", "https://also.example", "https://bad.example"
TWO_ORIGINS = f"cors: {{origins: ['{GOOD}', '{ALSO_GOOD}']}}"
HELLO = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "hello"}]}
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def preflight_from(origin: str, **headers: str) -> dict[str, str]:
    """Return the headers of a browser's preflight for a POST."""
    return {"Origin": origin, "Access-Control-Request-Method": "POST", **headers}


def names(header: str) -> set[str]:
    return {name.strip() for name in header.split(",")}


@pytest.mark.parametrize("headers", [{}, preflight_from(BAD)], ids=["bare", "from a page"])
async def test_options_of_an_unknown_path_allows_every_method_for_a_day(
    http: aiohttp.ClientSession, serve: Serve, headers: dict[str, str]
) -> None:
    base = await serve()
    async with http.options(base + UNKNOWN, headers=headers) as response:
        assert response.status == 204
        assert names(response.headers["Access-Control-Allow-Methods"]) == METHODS
        assert response.headers["Access-Control-Max-Age"] == "86400"
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_options_without_an_origin_is_answered_on_a_registered_path(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    base = await serve()
    async with http.options(base + CHAT) as response:
        assert response.status == 204
        assert names(response.headers["Access-Control-Allow-Methods"]) == METHODS


async def test_a_preflight_of_a_registered_path_may_be_cached_for_a_day(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    base = await serve()
    async with http.options(base + CHAT, headers=preflight_from(GOOD)) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Max-Age"] == "86400"
        assert response.headers["Access-Control-Allow-Methods"] == "POST"


async def test_requested_headers_are_allowed_and_authorization_is_named_when_none_are(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    base = await serve()
    wanted = {"Access-Control-Request-Headers": "authorization, x-stainless-os"}
    async with http.options(base + UNKNOWN, headers=wanted) as response:
        assert response.headers["Access-Control-Allow-Headers"] == "authorization, x-stainless-os"
    async with http.options(base + UNKNOWN) as response:
        assert names(response.headers["Access-Control-Allow-Headers"]) == {"*", "Authorization"}


@pytest.mark.parametrize("origin", [GOOD, ALSO_GOOD])
@pytest.mark.parametrize(("path", "status"), [(CHAT, 200), (UNKNOWN, 204)])
async def test_a_preflight_from_each_allowed_origin_succeeds(
    http: aiohttp.ClientSession, serve: Serve, origin: str, path: str, status: int
) -> None:
    base = await serve(TWO_ORIGINS)
    wanted = preflight_from(origin, **{"Access-Control-Request-Headers": "authorization"})
    async with http.options(base + path, headers=wanted) as response:
        assert response.status == status
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert "POST" in names(response.headers["Access-Control-Allow-Methods"])
        assert names(response.headers["Access-Control-Allow-Headers"].lower()) == {"authorization"}
        assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize(("path", "status"), [(CHAT, 403), (UNKNOWN, 204)])
async def test_a_preflight_from_another_origin_names_no_origin(
    http: aiohttp.ClientSession, serve: Serve, path: str, status: int
) -> None:
    base = await serve(TWO_ORIGINS)
    async with http.options(base + path, headers=preflight_from(BAD)) as response:
        assert response.status == status
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [(GOOD, GOOD), (ALSO_GOOD, ALSO_GOOD), (BAD, None), (None, None)],
)
@pytest.mark.parametrize("path", ["/healthz", UNKNOWN])
async def test_answers_name_the_origin_if_it_is_allowed_and_vary_by_it_always(
    http: aiohttp.ClientSession, serve: Serve, path: str, origin: str | None, allowed: str | None
) -> None:
    base = await serve(TWO_ORIGINS)
    async with http.get(base + path, headers={"Origin": origin} if origin else {}) as response:
        assert response.headers.get("Access-Control-Allow-Origin") == allowed
        assert response.headers["Vary"] == "Origin"


class Varying(Plugin):
    """A plugin whose answers depend on a header of their own."""

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get("/varying", self.answer)]

    async def answer(self, _: web.Request) -> web.Response:
        return web.Response(headers={"Vary": "Accept-Language"})


async def test_vary_keeps_the_names_that_a_handler_has_set(
    http: aiohttp.ClientSession, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUILT_IN, "varying", f"{__name__}:Varying")
    base = await serve(f"{TWO_ORIGINS}\nplugins: {{varying: {{}}}}")
    async with http.get(base + "/varying", headers={"Origin": GOOD}) as response:
        assert response.headers.getall("Vary") == ["Accept-Language, Origin"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], ["Origin"]),
        (["Accept"], ["Accept, Origin"]),
        (["Accept", "Cookie"], ["Accept, Cookie, Origin"]),
        (["origin, Accept"], ["origin, Accept"]),
        (["*"], ["*"]),
    ],
)
def test_origin_is_added_to_vary_once(before: list[str], after: list[str]) -> None:
    response = web.Response(headers=CIMultiDict([("Vary", value) for value in before]))
    Cors(CorsConfig(origins=(GOOD,))).allow(make_mocked_request("GET", "/"), response)

    assert response.headers.getall("Vary") == after


async def test_answers_to_any_origin_do_not_vary(http: aiohttp.ClientSession, serve: Serve) -> None:
    base = await serve()
    async with http.get(base + "/healthz", headers={"Origin": BAD}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Vary" not in response.headers


class Late(Plugin):
    """A plugin that fills in the report as an exchange does, and streams."""

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get("/late", self.answer)]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        async with self.services.enter(request, "late", reads_body=False) as context:
            context.report.fallbacks = ["gemini-3-pro overloaded"]
            context.report.limits += (WindowState(Window("requests", 3, 60), 2, 1.0),)
            response = web.StreamResponse(
                headers={"x-gateway-model": "m", "Content-Type": "text/event-stream"}
            )
            await response.prepare(request)
            await response.write(b"data: 1\n\n")
            return response


LATE = {"x-request-id", "x-gateway-cache", "x-gateway-fallback", "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests", "x-gateway-model"}  # fmt: skip


@pytest.mark.row("G18")
async def test_g18_pages_may_read_headers_that_are_set_last_also_of_streams(
    http: aiohttp.ClientSession, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUILT_IN, "late", f"{__name__}:Late")
    base = await serve("plugins: {late: {}}")
    async with http.get(base + "/late", headers={"Origin": GOOD, "x-gateway-cache": "60"}) as response:
        assert await response.text()
        assert names(response.headers["Access-Control-Expose-Headers"].lower()) >= LATE
        assert {name.lower() for name in response.headers} >= LATE


@pytest.mark.row("G18")
@pytest.mark.parametrize("config", ["", TWO_ORIGINS])
@pytest.mark.parametrize(
    ("method", "path", "status", "header"),
    [
        ("POST", "/v1/chat/completions", 200, "x-gateway-notes"),
        ("POST", "/api/v1/chat/completions/", 200, "x-gateway-notes"),
        ("GET", "/v1/chat/completions", 405, "allow"),
        ("GET", "/v1/unknown", 404, "x-request-id"),
        ("GET", "/any/where", 200, "x-request-id"),
        ("POST", "/v1beta/models/none:generateContent", 404, "x-request-id"),
        ("GET", "/v1/models", 200, "x-request-id"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_g18_pages_may_read_the_headers_of_every_answer(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake, config: str, method: str, path: str, status: int,
    header: str, stream: bool,
) -> None:  # fmt: skip
    base = await serve(config, fake.url)
    body = {**HELLO, "stream": stream, "unheard_of": 1}
    async with http.request(method, base + path, json=body, headers={"Origin": GOOD}) as response:
        exposed = names(response.headers["Access-Control-Expose-Headers"].lower())
        assert (response.status, {header, "x-request-id", "server"} - exposed) == (status, set())
        assert header in {name.lower() for name in response.headers}


async def test_pages_may_read_every_header_of_the_gateway(http: aiohttp.ClientSession, serve: Serve) -> None:
    base = await serve()
    async with http.get(base + "/healthz", headers={"Origin": GOOD}) as response:
        exposed = names(response.headers["Access-Control-Expose-Headers"].lower())
        assert "x-request-id" in exposed


@pytest.mark.parametrize("path", ["/", "/v1/chat/completions", "/v1/unknown", "/healthz", "/any/where"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://page.example"},
        {"Origin": "https://page.example", "Access-Control-Request-Method": "POST",
         "Access-Control-Request-Headers": "authorization, x-stainless-os"},
    ],
)  # fmt: skip
async def test_options_on_any_path_is_allowed_to_everybody(
    http: aiohttp.ClientSession, gateway: str, path: str, headers: dict[str, str]
) -> None:
    async with http.options(gateway + path, headers=headers) as response:
        assert response.status in (200, 204)
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in response.headers
        allowed = response.headers.get("Access-Control-Allow-Headers", "").lower()
        assert "Access-Control-Request-Method" not in headers or "authorization" in allowed


async def test_every_answer_may_be_read_by_any_page(http: aiohttp.ClientSession, gateway: str) -> None:
    origin = {"Origin": "https://page.example"}
    for body in (HELLO, {}, {**HELLO, "stream": True}):
        async with http.post(gateway + "/v1/chat/completions", json=body, headers=origin) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "*"
    async with http.post(gateway + "/v1/chat/completions", json=HELLO, headers=origin) as response:
        assert "x-gateway-model" in response.headers["Access-Control-Expose-Headers"].lower()


async def test_restricted_origins_are_named_and_others_are_not(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake
) -> None:
    base = await serve("cors: {origins: ['https://good.example']}", fake.url)
    for path in ("/v1/chat/completions", "/", "/v1/unknown"):
        for origin, expected in (
            ("https://good.example", "https://good.example"),
            ("https://bad.example", None),
        ):
            async with http.post(base + path, json=HELLO, headers={"Origin": origin}) as response:
                assert response.headers.get("Access-Control-Allow-Origin") == expected
                assert "Origin" in response.headers["Vary"]
    preflight = {"Origin": "https://bad.example", "Access-Control-Request-Method": "POST"}
    async with http.options(base + "/v1/chat/completions", headers=preflight) as response:
        assert response.status == 403
        assert (await response.json())["error"]["code"] == "invalid_request"
