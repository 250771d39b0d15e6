"""Ephemeral tokens, by Google's SDK and by REST."""

import asyncio
from typing import Any

import pytest
from google import genai

from tests.support.emulator import call
from tests.support.servers import Fake


@pytest.mark.filterwarnings("ignore:.*experimental")
@pytest.mark.parametrize("through", ["fake", "gateway"])
@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
async def test_googles_sdk_gets_a_token(fake: Fake, gateway: str, through: str, version: str) -> None:
    def use() -> Any:
        base = gateway if through == "gateway" else fake.url
        client = genai.Client(api_key="k", http_options={"base_url": base, "api_version": version})
        constraints: Any = {"model": "gemini-3.8-live", "config": {"temperature": 0.5}}
        return client.auth_tokens.create(config={"uses": 1, "live_connect_constraints": constraints})

    token = await asyncio.to_thread(use)
    assert token.name.startswith("auth_tokens/")


@pytest.mark.parametrize(
    "body",
    [
        {"uses": "many"},
        {"uses": -1},
        {"name": "mine"},
        {"expireTime": "soon"},
        {"expireTime": "2100-01-01T00:00:00Z"},
        {"bidiGenerateContentSetup": {"colour": "red"}},
    ],
)
async def test_it_refuses_what_google_refuses(fake: Fake, body: Any) -> None:
    assert (await call("POST", f"{fake.url}/v1alpha/auth_tokens", body))[0] == 400
