"""The official SDK, unmodified, against the gateway on the emulator."""

from typing import Any

import openai
import pytest
from openai import AsyncAzureOpenAI

from tests.support.servers import Fake

MODEL = "gemini-2.5-flash"


def client(base: str, key: str = "k", retries: int = 0) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=base + "/v1", api_key=key, max_retries=retries)


async def test_create(gateway: str) -> None:
    async with client(gateway) as sdk:
        answer = await sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])

    assert answer.choices[0].message.content == "You said: hi"
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0
    assert answer._request_id is not None


async def test_stream_with_usage(gateway: str) -> None:
    async with client(gateway) as sdk:
        stream = await sdk.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]

    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "You said: hi"
    assert chunks[-1].usage is not None
    assert chunks[-1].choices == []
    assert len({chunk.id for chunk in chunks}) == 1


@pytest.mark.parametrize(
    ("key", "model", "prompt", "error"),
    [
        ("bad", MODEL, "x", openai.AuthenticationError),
        ("k", "gemini-9", "x", openai.NotFoundError),
        ("k", MODEL, "[[429]]", openai.RateLimitError),
        ("k", MODEL, "[[503]]", openai.InternalServerError),
    ],
)
async def test_errors_are_the_sdks_own(
    gateway: str, key: str, model: str, prompt: str, error: type[openai.APIStatusError]
) -> None:
    async with client(gateway, key) as sdk:
        with pytest.raises(error) as caught:
            await sdk.chat.completions.create(model=model, messages=[{"role": "user", "content": prompt}])

    assert isinstance(caught.value.body, dict)
    assert set(caught.value.body) == {"message", "type", "param", "code"}


async def test_a_failure_midstream_raises(gateway: str) -> None:
    async with client(gateway) as sdk:
        stream = await sdk.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "[[error midstream]]"}], stream=True
        )
        with pytest.raises(openai.APIError, match="overloaded"):
            async for _ in stream:
                pass


@pytest.mark.row("G13")
async def test_g13_azures_client_of_openais_sdk(gateway: str, fake: Fake) -> None:
    model = "gemini-2.5-pro"
    turn: Any = [{"role": "user", "content": "hello"}]
    async with AsyncAzureOpenAI(azure_endpoint=gateway, api_key="k", api_version="2024-10-21") as azure:
        answer = await azure.chat.completions.create(model=model, messages=turn)
        assert (answer.model, fake.last.model) == (model, model)
        stream = await azure.chat.completions.create(model=model, messages=turn, stream=True)
        assert "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
        vectors = await azure.embeddings.create(model="gemini-embedding-001", input="x")
        assert vectors.data[0].embedding
        assert [entry.id async for entry in azure.models.list()]
        assert (await azure.responses.create(model=model, input="hi")).output_text
    async with AsyncAzureOpenAI(
        azure_endpoint=gateway, azure_deployment=model, api_key="k", api_version="2024-10-21"
    ) as azure:
        await azure.chat.completions.create(model="gpt-4o", messages=turn)
        assert fake.last.model == model
    assert "api-key" not in fake.last.headers
