"""A JSON response is one of aiohttp's for everybody who looks at it."""

from collections.abc import Callable

import pytest
from aiohttp import web

from gateway.exchange.replies.json_response import JsonResponse


def test_it_has_what_aiohttps_own_response_has() -> None:
    """The constructor sets what aiohttp's sets: a new attribute in another version of aiohttp is seen here."""
    own = JsonResponse(b"{}", {"x-a": "b"}, 404)
    stock = web.Response(body=b"{}", headers={"Content-Type": "application/json", "x-a": "b"}, status=404)

    assert {name: getattr(own, name) for name in vars(stock)} == vars(stock)
    assert (own.status, own.reason, own.body, own.content_type) == (
        404,
        "Not Found",
        b"{}",
        "application/json",
    )
    assert list(own.headers.items()) == list(stock.headers.items())


CHANGES: dict[str, Callable[[JsonResponse], object]] = {
    "headers": lambda response: response.headers.add("x-a", "b"),
    "content type": lambda response: response.content_type,
    "a cookie": lambda response: response.set_cookie("a", "b"),
    "the connection": lambda response: response.force_close(),
    "compression": lambda response: response.enable_compression(),
    "chunks": lambda response: response.enable_chunked_encoding(),
    "text": lambda response: setattr(response, "text", "x"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_who_touches_it_is_noticed(name: str) -> None:
    response = JsonResponse(b"{}", {})
    assert response.usual_body is not None
    CHANGES[name](response)

    assert response.usual_body is None


async def test_once_sent_it_is_not_sent_again() -> None:
    response = JsonResponse(b"{}", {})
    response.sent()
    await response.write_eof()  # raises where the response was neither prepared nor sent

    assert (response.prepared, response.keep_alive) == (True, True)
