"""The anthropic and google-genai SDKs, unmodified, on the emulator."""

from typing import Any

import anthropic
import pytest
from google import genai
from google.genai import types

from tests.support.servers import Fake

F3 = "gemini-3-flash-preview"
TOOL: Any = {"name": "get_weather", "description": "Weather",
             "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}  # fmt: skip


def claude(base: str, key: str = "k") -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=base, api_key=key, max_retries=0)


@pytest.mark.parametrize("streamed", [False, True])
async def test_anthropic_runs_a_tool_loop(gateway: str, fake: Fake, streamed: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": "Use get_weather in Oslo, in 2 steps."}]
    cities = []
    answer: Any = None
    async with claude(gateway) as sdk:
        while answer is None or answer.stop_reason == "tool_use":
            asked: Any = {"model": F3, "max_tokens": 500, "messages": messages, "tools": [TOOL]}
            if streamed:
                async with sdk.messages.stream(**asked) as stream:
                    answer = await stream.get_final_message()
            else:
                answer = await sdk.messages.create(**asked)
            uses = [block for block in answer.content if block.type == "tool_use"]
            cities += [use.input["city"] for use in uses]
            results = [{"type": "tool_result", "tool_use_id": use.id, "content": "SUNNY-42"} for use in uses]
            messages += [
                {"role": "assistant", "content": answer.content},
                {"role": "user", "content": results},
            ]

    assert cities == ["Oslo", "Oslo"]
    assert answer.content[-1].text == "The tool said: SUNNY-42"
    assert answer.usage.output_tokens > 0
    assert "skip_thought_signature_validator" not in str(fake.last.body)


async def test_anthropic_counts_lists_and_refuses(gateway: str) -> None:
    async with claude(gateway) as sdk:
        counted = await sdk.messages.count_tokens(
            model=F3, messages=[{"role": "user", "content": "hi there"}]
        )
        names = [model.id async for model in sdk.models.list()]
    async with claude(gateway, "bad") as sdk:
        with pytest.raises(anthropic.AuthenticationError):
            await sdk.messages.create(model=F3, max_tokens=5, messages=[{"role": "user", "content": "x"}])

    assert counted.input_tokens > 0
    assert F3 in names


def google(base: str) -> genai.Client:
    return genai.Client(api_key="k", http_options=types.HttpOptions(base_url=base))


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
async def test_google_genai_needs_no_change(gateway: str, fake: Fake) -> None:
    sdk = google(gateway).aio
    answer = await sdk.models.generate_content(model=F3, contents="hi")
    pieces = [
        chunk.text or "" async for chunk in await sdk.models.generate_content_stream(model=F3, contents="hi")
    ]
    counted = await sdk.models.count_tokens(model=F3, contents="hi there")
    texts: list[Any] = ["a", "b"]
    embedded = await sdk.models.embed_content(model="gemini-embedding-001", contents=texts)
    names = [model.name async for model in await sdk.models.list()]
    await sdk.aclose()

    assert answer.text == "".join(pieces) == "You said: hi"
    assert (counted.total_tokens or 0) > 0
    assert len(embedded.embeddings or ()) == 2
    assert f"models/{F3}" in names


@pytest.mark.row("G7", "T5")
@pytest.mark.parametrize("streamed", [True, False])
async def test_g07_anthropic_searches_and_goes_on(gateway: str, streamed: bool) -> None:
    """The SDK puts blocks and citations together, and its message is the next turn's history."""
    tool: Any = {"type": "web_search_20250305", "name": "web_search"}
    asked: Any = {"role": "user", "content": "The weather?"}
    async with claude(gateway) as client:
        call: Any = {"model": "gemini-2.5-flash", "max_tokens": 100, "tools": [tool]}
        if streamed:
            async with client.messages.stream(**call, messages=[asked]) as stream:
                message = await stream.get_final_message()
        else:
            message = await client.messages.create(**call, messages=[asked])
        history = [asked, {"role": "assistant", "content": message.content}, asked]
        again = await client.messages.create(**call, messages=history)

    text = next(block for block in message.content if block.type == "text")
    found = next(block for block in message.content if block.type == "web_search_tool_result")
    assert [cited.cited_text for cited in text.citations or ()] == ["Zürich is sunny.", "Oslo is not."]
    assert isinstance(found.content, list)
    assert [source.title for source in found.content] == ["weather.example"] * 2
    assert message.usage.server_tool_use is not None
    assert message.usage.server_tool_use.web_search_requests == 1
    assert again.stop_reason == "end_turn"
