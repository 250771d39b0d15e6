"""openai-python on the emulator: tools over three turns, structured output, media, and retries as we tell them."""

import base64
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from gateway.emulator.script import load_script
from gateway.emulator.server import build_fake

F3 = "gemini-3-flash-preview"
MODELS = [F3, "gemini-2.5-flash", "gemini-3.8-flash", "gemini-2.0-flash"]


def tool(name: str, *fields: str) -> ChatCompletionToolParam:
    properties = {field: {"type": "string"} for field in fields}
    parameters: dict[str, object] = {"type": "object", "properties": properties, "required": list(fields)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [tool("get_weather", "city"), tool("get_time", "city")]
PROMPT = "Use get_weather and get_time in Oslo, in 3 steps."


def sdk(base: str, retries: int = 0) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=base + "/v1", api_key="k", max_retries=retries)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("keeps", [True, False], ids=["keeps unknown fields", "drops them"])
async def test_a_loop_of_parallel_calls_over_three_turns(gateway: str, model: str, keeps: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": PROMPT}]
    async with sdk(gateway) as client:
        for _ in range(3):
            answer = await client.chat.completions.create(model=model, messages=messages, tools=TOOLS)
            choice = answer.choices[0]
            assert choice.finish_reason == "tool_calls"
            calls = choice.message.tool_calls or []
            assert [c.function.name for c in calls if c.type == "function"] == ["get_weather", "get_time"]
            assert all(len(call.id) <= 40 for call in calls)
            messages += [_kept(choice.message) if keeps else _stripped(calls)]
            messages += [{"role": "tool", "tool_call_id": call.id, "content": "SUNNY-42"} for call in calls]
        final = await client.chat.completions.create(model=model, messages=messages, tools=TOOLS)

    assert final.choices[0].message.content == "The tool said: SUNNY-42; SUNNY-42"
    assert final.choices[0].finish_reason == "stop"


def _kept(message: Any) -> Any:
    return message.model_dump(exclude_unset=True)


def _stripped(calls: list[Any]) -> Any:
    """As a strictly typed client sends it back."""
    return {"role": "assistant", "content": None, "tool_calls": [
        {"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
        for c in calls]}  # fmt: skip


async def test_streamed_calls_accumulate(gateway: str) -> None:
    async with (
        sdk(gateway) as client,
        client.chat.completions.stream(
            model=F3, messages=[{"role": "user", "content": PROMPT}], tools=TOOLS
        ) as stream,
    ):
        async for _ in stream:
            pass
        message = (await stream.get_final_completion()).choices[0].message

    arguments = [json.loads(call.function.arguments) for call in message.tool_calls or []]
    assert arguments == [{"city": "Oslo"}, {"city": "Oslo"}]


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize("model", MODELS)
async def test_parse_gives_the_object(gateway: str, model: str) -> None:
    async with sdk(gateway) as client:
        answer = await client.chat.completions.parse(
            model=model, messages=[{"role": "user", "content": "Ada is 36."}], response_format=Person
        )

    assert answer.choices[0].message.parsed == Person(name="Ada", age=36)


async def test_an_image_and_sound_arrive(gateway: str) -> None:
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    message: ChatCompletionMessageParam = {"role": "user", "content": [
        {"type": "text", "text": "hi"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png}"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]}  # fmt: skip
    async with sdk(gateway) as client:
        answer = await client.chat.completions.create(model=F3, messages=[message])

    assert answer.choices[0].message.content == "You said: hi [image/png, 9 bytes] [audio/wav, 3 bytes]"


async def test_search_reasoning_and_logprobs(gateway: str) -> None:
    async with sdk(gateway) as client:
        searched = await client.chat.completions.create(
            model=F3, messages=[{"role": "user", "content": "?"}], web_search_options={}
        )
        thought = await client.chat.completions.create(
            model=F3, messages=[{"role": "user", "content": "?"}], reasoning_effort="low"
        )
        likely = await client.chat.completions.create(
            model="gemini-2.0-flash", messages=[{"role": "user", "content": "Reply with the single word PONG."}],
            logprobs=True, top_logprobs=1,
        )  # fmt: skip

    text = searched.choices[0].message.content or ""
    citation = (searched.choices[0].message.annotations or [])[0].url_citation
    assert text[citation.start_index : citation.end_index] == "Zürich is sunny."
    assert thought.choices[0].message.reasoning_content.startswith("**Thinking**")  # type: ignore[attr-defined]
    assert thought.usage is not None
    assert thought.usage.completion_tokens_details is not None
    assert thought.usage.completion_tokens_details.reasoning_tokens == 12
    assert likely.choices[0].logprobs is not None
    assert likely.choices[0].logprobs.content is not None
    assert likely.choices[0].logprobs.content[0].token == "PONG"


async def test_the_sdk_waits_as_long_as_our_headers_say(
    serve: Any, tmp_path: Path, aiohttp_server: Any
) -> None:
    """Two failures that the gateway passes on, then an answer: the SDK's own retries come through."""
    script = tmp_path / "rules.yaml"
    script.write_text("- {times: 2, reply: {status: 409, message: again}}\n")
    fake = await aiohttp_server(build_fake(load_script(script), pace=0.001))
    base = await serve("", str(fake.make_url("")).rstrip("/"))
    async with sdk(base, retries=2) as client:
        answer = await client.chat.completions.create(model=F3, messages=[{"role": "user", "content": "hi"}])

    assert answer.choices[0].message.content == "You said: hi"


async def test_the_sdk_obeys_x_should_retry(gateway: str, fake: Any) -> None:
    async with sdk(gateway, retries=5) as client:
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(
                model=F3, messages=[{"role": "user", "content": "[[429 day]]"}]
            )

    assert fake.calls == 1
