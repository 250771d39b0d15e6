"""Legacy completions over HTTP, on the emulator."""

from typing import Any

import aiohttp
import openai
import pytest

MODEL = "gemini-2.5-flash"


def sdk(base: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=base + "/v1", api_key="k", max_retries=0)


async def post(http: aiohttp.ClientSession, base: str, **body: Any) -> tuple[int, Any, Any]:
    async with http.post(f"{base}/v1/completions", json={"model": MODEL, **body}) as response:
        return response.status, response.headers, await response.json()


async def test_a_prompt_is_completed(gateway: str) -> None:
    async with sdk(gateway) as client:
        answer = await client.completions.create(model=MODEL, prompt="hi", echo=True, max_tokens=50)

    assert answer.choices[0].text == "hiYou said: hi"
    assert (answer.object, answer.choices[0].finish_reason) == ("text_completion", "stop")
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0


async def test_prompts_times_n_are_numbered_through(gateway: str) -> None:
    async with sdk(gateway) as client:
        answer = await client.completions.create(model=MODEL, prompt=["a", "b"], n=2)

    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.text[:11] for choice in answer.choices] == ["You said: a"] * 2 + ["You said: b"] * 2


async def test_a_stream_echoes_once_and_ends_with_its_counts(gateway: str) -> None:
    async with sdk(gateway) as client:
        stream = await client.completions.create(
            model=MODEL, prompt=["a", "b"], stream=True, echo=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]

    texts = [
        "".join(c.choices[0].text for c in chunks if c.choices and c.choices[0].index == i) for i in (0, 1)
    ]
    assert texts == ["aYou said: a", "bYou said: b"]
    assert chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"prompt": [1, 2]}, "prompt"), ({"prompt": [[1]]}, "prompt"), ({"prompt": []}, "prompt"), ({"prompt": 5}, "prompt"),
     ({"prompt": ["a"] * 9}, "prompt"), ({"prompt": "a", "n": 9}, "n"), ({"prompt": "x", "temperature": 3}, "temperature")],
)  # fmt: skip
async def test_an_error_names_its_field(
    http: aiohttp.ClientSession, gateway: str, fields: dict[str, Any], param: str
) -> None:
    status, _, answer = await post(http, gateway, **fields)

    assert (status, answer["error"]["param"]) == (400, param)


async def test_a_suffix_is_asked_for_in_words_and_old_logprobs_are_a_note(
    http: aiohttp.ClientSession, gateway: str, fake: Any
) -> None:
    status, headers, _ = await post(http, gateway, prompt="a", suffix="z", logprobs=3, stop=["END"])

    assert (status, headers["x-gateway-notes"]) == (200, "logprobs")
    assert fake.last.body["systemInstruction"]["parts"][0]["text"].endswith(":\nz")
    config = fake.last.body["generationConfig"]
    assert config == {
        "stopSequences": ["END"],
        "thinkingConfig": {"includeThoughts": False, "thinkingBudget": 0},
    }


async def test_a_failure_midstream_raises(gateway: str) -> None:
    async with sdk(gateway) as client:
        stream = await client.completions.create(model=MODEL, prompt="[[error midstream]]", stream=True)
        with pytest.raises(openai.APIError, match="overloaded"):
            async for _ in stream:
                pass
