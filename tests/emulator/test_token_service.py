"""The emulator's token service, asked by google-auth."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from google.auth.exceptions import RefreshError
from google.oauth2.service_account import Credentials

from gateway.emulator.server import VERTEX, build_fake
from gateway.upstream.vertex.token_request import TokenRequest
from tests.support.vertex import account


async def refreshed(url: str, email: str = "a@b.example") -> Any:
    factory: Any = Credentials
    credentials = factory.from_service_account_info(json.loads(account(url, email)), scopes=["s"])
    await asyncio.to_thread(credentials.refresh, TokenRequest(None))
    return credentials


async def test_a_token_is_valid_until_it_ends(aiohttp_server: Any) -> None:
    app = build_fake()
    url = str((await aiohttp_server(app)).make_url("")).rstrip("/")
    service = app[VERTEX].tokens
    token = (await refreshed(url)).token

    assert token.startswith("ya29.")
    assert service.is_valid(token)
    service.revoke()
    assert not service.is_valid(token)
    service.early = service.life
    assert not service.is_valid((await refreshed(url)).token)


async def test_it_refuses_an_unknown_account_and_a_wrong_clock(
    aiohttp_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = build_fake()
    url = str((await aiohttp_server(app)).make_url("")).rstrip("/")

    with pytest.raises(RefreshError, match="account not found"):
        await refreshed(url, "bad@b.example")
    monkeypatch.setattr(app[VERTEX].tokens, "_now", lambda: 1_000_000.0)
    with pytest.raises(RefreshError, match="Check your iat and exp values"):
        await refreshed(url)
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/token", data={"assertion": "a.b"}) as response,
    ):
        assert (response.status, (await response.json())["error"]) == (400, "invalid_grant")
