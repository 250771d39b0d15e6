"""Exact routes: the same handlers as aiohttp's router finds, inside the same middlewares."""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiohttp.typedefs import Handler, Middleware

from gateway.server.connection.dispatch import Dispatcher, Request

KEY: web.RequestKey[str] = web.RequestKey("key", str)


def handler(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a handler that answers with its name, the path, and the variables of the route."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=f"{name} {dict(request.match_info)} {request.match_info.route.method}")

    return answer


def routed(*routes: tuple[str, str]) -> web.Application:
    """Return an application with routes, each of whose handlers is named by its number."""
    app = web.Application(middlewares=[_marking("outer"), _marking("inner")])
    app.add_routes([web.route(method, path, handler(str(i))) for i, (method, path) in enumerate(routes)])
    return app


def _marking(name: str) -> Middleware:
    @web.middleware
    async def mark(request: web.Request, handler: Handler) -> web.StreamResponse:
        assert request.app[APP] is request.app
        response = await handler(request)
        response.headers.add("x-mark", name)
        return response

    return mark


APP: web.AppKey[web.Application] = web.AppKey("app", web.Application)
ROUTES = (
    ("GET", "/a"), ("POST", "/a"), ("*", "/b"), ("POST", "/c/"), ("GET", "/{name}"), ("GET", "/d"), ("POST", "/d"),
    ("OPTIONS", "/{all:.*}"), ("GET", "/e/{x}"), ("GET", "/e/f"), ("POST", "/e/f"), ("PUT", "/a"), ("*", "/a"),
    ("GET", "/%C3%A9"), ("GET", "/a%2Fb"), ("GET", "/"), ("POST", "/x;y=1,2"), ("POST", "/{a}/{b}:z"), ("POST", "/q/w:z"),
)  # fmt: skip
PATHS = ("/a", "/a?x=1", "/a/", "/b", "/c/", "/c", "/d", "/e/f", "/e/g", "/%61", "/%C3%A9", "/a%2Fb", "/a%2fb", "/", "//a",
         "/x;y=1,2", "/x%3By=1,2", "/q/w:z", "/q/w%3Az", "/A", "/nothing/at/all")  # fmt: skip


async def result(way: Callable[[web.Request], Awaitable[web.StreamResponse]], request: web.Request) -> object:
    """Return what one way answers."""
    try:
        response = await way(request)
    except web.HTTPException as error:
        return error.status, sorted(getattr(error, "allowed_methods", ()))
    assert isinstance(response, web.Response)
    return response.text, response.headers.getall("x-mark", [])


@pytest.mark.parametrize("path", PATHS)
async def test_every_request_reaches_the_handler_that_aiohttp_finds(path: str) -> None:
    app = routed(*ROUTES)
    app[APP] = app
    app.freeze()
    dispatcher = Dispatcher(app)
    for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS", "PURGE"):
        requests = [make_mocked_request(method, path, app=app) for _ in range(2)]

        assert await result(dispatcher, requests[0]) == await result(app._handle, requests[1])


async def test_a_known_path_does_not_ask_the_router(monkeypatch: pytest.MonkeyPatch) -> None:
    app = routed(("POST", "/v1/chat/completions"))
    app[APP] = app
    app.freeze()
    dispatcher = Dispatcher(app)
    monkeypatch.setattr(web.UrlDispatcher, "resolve", None)
    request = make_mocked_request("POST", "/v1/chat/completions", app=app)

    assert await result(dispatcher, request) == ("0 {} POST", ["inner", "outer"])
    assert (request.match_info.apps, request.config_dict[APP]) == ((app,), app)


async def test_what_a_handler_puts_beside_the_variables_stays_with_its_request() -> None:
    app = web.Application()
    app.add_routes([web.get("/a", handler("a"))])
    app.freeze()
    dispatcher = Dispatcher(app)
    first, second = (make_mocked_request("GET", "/a", app=app) for _ in range(2))
    await dispatcher(first)
    first.match_info["secret"] = "x"
    await dispatcher(second)

    assert dict(second.match_info) == {}


async def test_applications_inside_are_left_to_aiohttp() -> None:
    inner, app = web.Application(), web.Application()
    inner.add_routes([web.get("/a", handler("inner"))])
    app.add_routes([web.get("/a", handler("outer"))])
    app.add_domain("inner.example", inner)
    app.freeze()
    request = make_mocked_request("GET", "/a", headers={"Host": "inner.example"}, app=app)

    assert await result(Dispatcher(app), request) == await result(
        app._handle, make_mocked_request("GET", "/a", headers={"Host": "inner.example"}, app=app)
    )


async def test_an_expectation_is_left_to_aiohttp() -> None:
    app = routed(("POST", "/a"))
    app.freeze()
    request = make_mocked_request("POST", "/a", headers={"Expect": "200-ok"}, app=app)

    assert await result(Dispatcher(app), request) == (417, [])


def test_a_look_up_that_fails_raises_nothing() -> None:
    made = make_mocked_request("GET", "/")
    request = Request(made._message, made.content, made.protocol, made.writer, made.task, made._loop)

    assert request.get(KEY) is None
    assert request.get(KEY, "x") == "x"
    request[KEY] = "y"
    assert request.get(KEY) == "y"


@pytest.mark.parametrize("target", ["/a?b=%20c", "http://elsewhere:8/a%2Fb"])
def test_attributes_are_those_of_aiohttps_request_also_of_a_clone(target: str) -> None:
    """An absolute URL is relative in `rel_url`; a clone has what it was given."""
    stock = make_mocked_request("POST", target, headers={"X-A": "1"})
    parts = stock._message, stock.content, stock.protocol, stock.writer, stock.task, stock._loop
    own = Request(*parts)
    other = own.clone(method="PUT", rel_url="/x", headers={"X-B": "2"})

    names = ("method", "headers", "rel_url", "content", "writer", "protocol", "path", "query")
    assert [getattr(own, name) for name in names] == [getattr(stock, name) for name in names]
    assert (other.method, other.path, dict(other.headers)) == ("PUT", "/x", {"X-B": "2"})
