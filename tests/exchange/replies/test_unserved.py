"""The error of a request that nothing serves: its status, and the format of its family."""

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.errors import GatewayError, openai_error
from gateway.exchange.replies.delivery import ERROR_RENDERER, ErrorRenderer
from gateway.exchange.replies.unserved import API_PATHS, ERROR_FORMATS, family, unserved, wants_websocket
from gateway.policy.api_paths import ApiPaths, Family


def googles(error: GatewayError, _: str) -> tuple[int, bytes]:
    return error.status, b"google"


def request_of(path: str, method: str = "GET", served: str = "responses", **headers: str) -> web.Request:
    app = web.Application()
    app[API_PATHS] = ApiPaths([f"/v1/{served}", "/v1/messages", "/google/v1/{tail:.+}"])
    formats: dict[Family, ErrorRenderer] = {"google": googles}
    app[ERROR_FORMATS] = formats
    return make_mocked_request(method, path, {k.replace("_", "-"): v for k, v in headers.items()}, app=app)


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/v1/responses/x", {"x_goog_api_key": "k"}, "openai"), ("/v1/messages/x", {}, "anthropic"),
        ("/v1/files", {"x_goog_api_key": "k"}, "google"), ("/v1/files?key=k", {}, "google"), ("/v1/files", {}, "openai"),
        ("/v1beta/x", {}, "google"), ("/ws/google.ai", {}, "google"), ("/v1/files", {"anthropic_version": "1"}, "anthropic"),
        ("/v1beta/openai/x", {"x_goog_api_key": "k"}, "openai"),
    ],
)  # fmt: skip
def test_the_path_names_the_family_or_else_the_headers(path: str, headers: Any, expected: str) -> None:
    assert family(request_of(path, **headers)) == expected


@pytest.mark.parametrize(
    ("allowed", "upgrade", "status", "code"),
    [
        (set(), "", 404, "unknown_url"), ({"OPTIONS"}, "", 404, "unknown_url"), ({"POST", "OPTIONS"}, "", 405, "method_not_allowed"),
        ({"POST"}, "WebSocket", 426, "upgrade_required"), ({"POST"}, "h2c", 405, "method_not_allowed"),
        (set(), "websocket", 404, "unknown_url"), ({"DELETE"}, "websocket", 405, "method_not_allowed"),
    ],
)  # fmt: skip
def test_a_path_that_takes_another_method_is_no_unknown_path(
    allowed: set[str], upgrade: str, status: int, code: str
) -> None:
    request = request_of("/v1/responses", Upgrade=upgrade)
    error = unserved(request, allowed)

    assert (error.status, error.code, request.get(ERROR_RENDERER)) == (status, code, None)
    assert wants_websocket(request) is (upgrade.lower() == "websocket")


def test_the_message_names_the_path_without_secrets() -> None:
    request = request_of("/v1beta/AIzaSyD-not-a-real-key-000000000000/" + "x" * 200)
    message = json.loads(openai_error(unserved(request)))["error"]["message"]

    assert "AIza" not in message
    assert len(message) < 130
    assert request[ERROR_RENDERER] is googles


def test_an_api_of_google_under_openais_path_is_named() -> None:
    assert "in `x-goog-api-key`" in unserved(request_of("/v1/batches")).message
    assert "x-goog" not in unserved(request_of("/v1/voices")).message
    assert "not served" not in unserved(request_of("/v1/batches/x/y", served="batches")).message


@pytest.mark.row("A24")
def test_a24_a_secret_behind_a_percent_sign_is_not_repeated() -> None:
    """Percent signs became question marks before secrets were looked for."""
    error = unserved(request_of("/v1/Bearer%20s8Tr1Yh6Pd3Gf5Jk0Zk7Qw9LmX2cVb4N"))

    assert "8Tr1Yh6" not in error.message
    assert error.message.startswith("Unknown request URL: GET /v1/Bearer")
