"""Paths that no other plugin serves."""

import json

import aiohttp
import pytest


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200), ("HEAD", "/", 200), ("GET", "/favicon.ico", 200), ("POST", "/", 404),
        ("GET", "/v1", 404), ("GET", "/v1/unknown", 404), ("GET", "/files", 404), ("GET", "/x/embeddings", 404),
        ("POST", "/v1/files", 404), ("GET", "/v1gamma/models", 404), ("GET", "/%00%0d%0a/models", 404),
    ],
)  # fmt: skip
async def test_hello_for_people_and_404_where_an_sdk_would_read_it(
    http: aiohttp.ClientSession, gateway: str, method: str, path: str, status: int
) -> None:
    async with http.request(method, gateway + path) as response:
        text = await response.text()

        assert response.status == status
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        if method != "HEAD":
            assert text == "hello" if status == 200 else json.loads(text)["error"]["code"] == "unknown_url"
