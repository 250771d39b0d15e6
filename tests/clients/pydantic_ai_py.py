"""pydantic-ai: agents on chat completions, on the Responses API and on the Messages API."""

import asyncio
from collections.abc import Callable

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, ModelHTTPError, NativeOutput, ToolOutput
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.common import (
    API_KEY,
    BAD_KEY,
    BASE_URL,
    CHAT_PROMPT,
    IMAGE_PROMPT,
    MODEL,
    PNG,
    ROOT_URL,
    SCHEMA_PROMPT,
    TOOL_PROMPT,
    TOOL_RESULT,
    Checks,
    excerpt,
    expect_error,
    is_paris,
    prefixed,
    run,
    tool_note,
)


class Person(BaseModel):
    """What SCHEMA_PROMPT asks for."""

    name: str
    age: int


def openai_provider(key: str) -> OpenAIProvider:
    """Return the gateway as OpenAI."""
    return OpenAIProvider(openai_client=AsyncOpenAI(base_url=BASE_URL, api_key=key, max_retries=0))


def chat_model(key: str) -> Model:
    """Return a model on chat completions."""
    return OpenAIChatModel(MODEL, provider=openai_provider(key))


def responses_model(key: str) -> Model:
    """Return a model on the Responses API."""
    return OpenAIResponsesModel(MODEL, provider=openai_provider(key))


def anthropic_model(key: str) -> Model:
    """Return a model on the Messages API."""
    client = AsyncAnthropic(base_url=ROOT_URL, api_key=key, max_retries=0)
    return AnthropicModel(MODEL, provider=AnthropicProvider(anthropic_client=client))


class Suite:
    """The checks of one of the three APIs."""

    def __init__(self, model: Callable[[str], Model]) -> None:
        self._model = model

    def checks(self) -> Checks:
        """Return the checks by name."""
        # On the Messages API, pydantic-ai refuses NativeOutput for a model that is not one of Claude's.
        native = self._structured_native if self._model is not anthropic_model else None
        return {
            "chat": self._chat,
            "stream": self._stream,
            "tools": self._tools,
            "structured": self._structured,
            "structured_native": native,
            "image": self._image,
            "badkey": self._badkey,
        }

    def _chat(self) -> str:
        agent = Agent(self._model(API_KEY), instructions="Be terse.")
        return excerpt(agent.run_sync(CHAT_PROMPT).output)

    def _stream(self) -> str:
        return asyncio.run(self._streamed())

    async def _streamed(self) -> str:
        async with Agent(self._model(API_KEY)).run_stream(CHAT_PROMPT) as result:
            deltas = [delta async for delta in result.stream_text(delta=True, debounce_by=None)]
        assert deltas, "no deltas"
        return f"{len(deltas)} deltas"

    def _tools(self) -> str:
        cities = []

        def get_weather(city: str) -> str:
            """Weather for a city."""
            cities.append(city)
            return TOOL_RESULT

        answer = Agent(self._model(API_KEY), tools=[get_weather]).run_sync(TOOL_PROMPT).output
        assert cities, "the tool was not called"
        assert is_paris(cities[0]), cities
        return tool_note(answer)

    def _structured(self) -> str:
        agent = Agent(self._model(API_KEY), output_type=ToolOutput(Person))
        return repr(agent.run_sync(SCHEMA_PROMPT).output)

    def _structured_native(self) -> str:
        agent = Agent(self._model(API_KEY), output_type=NativeOutput(Person))
        return repr(agent.run_sync(SCHEMA_PROMPT).output)

    def _image(self) -> str:
        picture = BinaryContent(PNG, media_type="image/png")
        return excerpt(Agent(self._model(API_KEY)).run_sync([IMAGE_PROMPT, picture]).output)

    def _badkey(self) -> str:
        return expect_error(lambda: Agent(self._model(BAD_KEY)).run_sync("x"), ModelHTTPError)


if __name__ == "__main__":
    run(
        "pydantic-ai",
        {
            **prefixed("chat", Suite(chat_model).checks()),
            **prefixed("responses", Suite(responses_model).checks()),
            **prefixed("anthropic", Suite(anthropic_model).checks()),
        },
    )
