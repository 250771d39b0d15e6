"""Answers and errors as they are sent: headers, status, and the format of the surface."""

import json
from time import monotonic

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.errors import BadRequest, GatewayError, MethodNotAllowed, RateLimited
from gateway.exchange.context import CONTEXT, RequestContext
from gateway.exchange.delivery import (
    ERROR_RENDERER,
    add_gateway_headers,
    answer_headers,
    error_response,
    fail,
)
from gateway.exchange.report import ExchangeReport
from gateway.policy.rate_limits import Window, WindowState


def context() -> RequestContext:
    return RequestContext("req_1", "POST", "/v1/x", monotonic(), ExchangeReport())


def body(response: web.Response) -> object:
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


@pytest.mark.parametrize(
    ("notes", "adjusted", "expected"),
    [
        ([], [], None),
        (["user"], [], "user"),
        ([], ["tools"], "tools"),
        (["user", "n"], ["n", "tools", "tools"], "user,n,tools"),
    ],
)
def test_each_field_is_noted_once(notes: list[str], adjusted: list[str], expected: str | None) -> None:
    headers = answer_headers("m", notes, adjusted)

    assert headers.pop("x-gateway-model") == "m"
    assert headers == ({"x-gateway-notes": expected} if expected else {})


def test_every_answer_has_its_id_and_what_the_report_says() -> None:
    headers: dict[str, str] = {}
    add_gateway_headers(headers, context())
    assert headers == {"x-request-id": "req_1"}

    reported = context()
    reported.report.cached, reported.report.fallbacks = "hit", ["a overloaded", "b cooling_down"]
    reported.report.limits = (WindowState(Window("requests", 5, 60), 4, 12.0),)
    add_gateway_headers(headers, reported)

    assert headers == {
        "x-request-id": "req_1",
        "x-gateway-cache": "hit",
        "x-gateway-fallback": "a overloaded, b cooling_down",
        "x-ratelimit-limit-requests": "5",
        "x-ratelimit-remaining-requests": "4",
        "x-ratelimit-reset-requests": "12.000s",
    }


def test_an_error_is_openais_unless_the_surface_has_a_format() -> None:
    response = error_response(BadRequest("no", param="n", code="invalid_value"))

    assert response.status == 400
    assert body(response) == {
        "error": {"message": "no", "type": "invalid_request_error", "param": "n", "code": "invalid_value"}
    }


def test_an_error_has_the_headers_that_sdks_obey() -> None:
    limited = error_response(RateLimited("slow", retry_after=3))
    refused = error_response(MethodNotAllowed(frozenset({"POST", "GET"})))

    assert (limited.status, limited.headers["retry-after"]) == (429, "3")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, POST")


def test_a_failed_request_is_recorded_and_answered_in_its_surfaces_format() -> None:
    def render(error: GatewayError, request_id: str) -> tuple[int, bytes]:
        return 529, json.dumps([error.message, request_id]).encode()

    request = make_mocked_request("POST", "/v1/x")
    request[CONTEXT], request[ERROR_RENDERER] = context(), render
    response = fail(request, BadRequest("no", code="invalid_value", upstream_status=400))

    assert (response.status, body(response)) == (529, ["no", "req_1"])
    assert (request[CONTEXT].report.error, request[CONTEXT].report.upstream_status) == ("invalid_value", 400)
