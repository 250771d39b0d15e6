"""LangChain and pydantic-ai on the emulator: what agents are written with."""

from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

MODELS = ["gemini-3-flash-preview", "gemini-2.5-flash"]
PROMPT = "Use get_weather in Oslo, in 3 steps."


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """Weather for a city."""
    return f"SUNNY-42 {city}"


@pytest.fixture
async def connections() -> AsyncIterator[httpx.AsyncClient]:
    """Both frameworks leave theirs open."""
    async with httpx.AsyncClient() as client:
        yield client


def langchain(base: str, model: str, connections: httpx.AsyncClient) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=f"{base}/v1",
        api_key=SecretStr("k"),
        model=model,
        max_retries=0,
        stream_usage=True,
        http_async_client=connections,
    )


@pytest.mark.parametrize("model", MODELS)
async def test_langchains_tool_loop(gateway: str, connections: httpx.AsyncClient, model: str) -> None:
    agent = langchain(gateway, model, connections).bind_tools([get_weather])
    history: list[BaseMessage] = [HumanMessage(PROMPT)]
    for _ in range(3):
        answer = await agent.ainvoke(history)
        assert [call["args"] for call in answer.tool_calls] == [{"city": "Oslo"}]
        history += [answer, *(ToolMessage("SUNNY-42", tool_call_id=call["id"]) for call in answer.tool_calls)]

    assert (await agent.ainvoke(history)).text == "The tool said: SUNNY-42"


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
async def test_langchains_structured_output(
    gateway: str, connections: httpx.AsyncClient, method: str
) -> None:
    chain = langchain(gateway, MODELS[0], connections).with_structured_output(Person, method=method)  # type: ignore[arg-type]

    assert await chain.ainvoke("Ada is 36.") == Person(name="Ada", age=36)


async def test_langchains_stream(gateway: str, connections: httpx.AsyncClient) -> None:
    pieces = [chunk async for chunk in langchain(gateway, MODELS[0], connections).astream("hi")]

    assert "".join(piece.text for piece in pieces) == "You said: hi"
    assert sum((piece.usage_metadata or {"total_tokens": 0})["total_tokens"] for piece in pieces) > 0


@pytest.fixture
async def provider(gateway: str) -> AsyncIterator[OpenAIProvider]:
    async with openai.AsyncOpenAI(base_url=f"{gateway}/v1", api_key="k", max_retries=0) as client:
        yield OpenAIProvider(openai_client=client)


@pytest.mark.parametrize("model", MODELS)
async def test_pydantic_ais_tool_loop(provider: OpenAIProvider, model: str) -> None:
    seen: list[str] = []
    agent = Agent(OpenAIChatModel(model, provider=provider))

    @agent.tool_plain(name="get_weather")
    def weather(city: str) -> str:
        """Weather for a city."""
        seen.append(city)
        return "SUNNY-42"

    assert (await agent.run(PROMPT)).output == "The tool said: SUNNY-42"
    assert seen == ["Oslo", "Oslo", "Oslo"]


async def test_pydantic_ais_native_output_and_stream(provider: OpenAIProvider) -> None:
    model = OpenAIChatModel(MODELS[0], provider=provider)
    assert (await Agent(model, output_type=NativeOutput(Person)).run("Ada is 36.")).output == Person(
        name="Ada", age=36
    )
    async with Agent(model).run_stream("hi") as stream:
        assert [text async for text in stream.stream_text(debounce_by=None)][-1] == "You said: hi"
