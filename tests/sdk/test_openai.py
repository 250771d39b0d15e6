"""The official SDK, unmodified, against the gateway on the emulator."""

import openai
import pytest

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
