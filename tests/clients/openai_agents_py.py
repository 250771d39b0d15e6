"""openai-agents (Python): agents on the Responses API and on chat completions."""

import asyncio
from typing import Any

import openai
from agents import (
    Agent,
    Model,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    TResponseInputItem,
    function_tool,
    set_tracing_disabled,
)
from pydantic import BaseModel

from tests.clients.common import (
    API_KEY,
    BAD_KEY,
    BASE_URL,
    CHAT_PROMPT,
    IMAGE_PROMPT,
    MODEL,
    PNG_URI,
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

set_tracing_disabled(disabled=True)  # otherwise traces go to api.openai.com


class Person(BaseModel):
    """What SCHEMA_PROMPT asks for."""

    name: str
    age: int


class Suite:
    """The checks of one of the two APIs."""

    def __init__(self, model: type[OpenAIChatCompletionsModel | OpenAIResponsesModel]) -> None:
        self._model = model

    def checks(self) -> Checks:
        """Return the checks by name."""
        return {
            "chat": self._chat,
            "stream": self._stream,
            "tools": self._tools,
            "structured": self._structured,
            "image": self._image,
            "badkey": self._badkey,
        }

    def _agent(self, key: str = API_KEY, **options: Any) -> Agent[None]:
        client = openai.AsyncOpenAI(base_url=BASE_URL, api_key=key, max_retries=0)
        model: Model = self._model(model=MODEL, openai_client=client)
        return Agent(name="A", instructions="Be terse.", model=model, **options)

    def _chat(self) -> str:
        return excerpt(ask(self._agent(), CHAT_PROMPT))

    def _stream(self) -> str:
        return asyncio.run(self._streamed())

    async def _streamed(self) -> str:
        result = Runner.run_streamed(self._agent(), CHAT_PROMPT)
        count = 0
        async for event in result.stream_events():
            if event.type == "raw_response_event":
                count += event.data.type == "response.output_text.delta"
        assert count, "no deltas"
        assert result.final_output, "no text"
        return f"{count} deltas"

    def _tools(self) -> str:
        cities = []

        def get_weather(city: str) -> str:
            """Weather for a city."""
            cities.append(city)
            return TOOL_RESULT

        answer = ask(self._agent(tools=[function_tool(get_weather)]), TOOL_PROMPT)
        assert cities, "the tool was not called"
        assert is_paris(cities[0]), cities
        return tool_note(answer)

    def _structured(self) -> str:
        person = ask(self._agent(output_type=Person), SCHEMA_PROMPT)
        assert isinstance(person, Person), person
        return repr(person)

    def _image(self) -> str:
        message: TResponseInputItem = {
            "role": "user",
            "content": [
                {"type": "input_text", "text": IMAGE_PROMPT},
                {"type": "input_image", "image_url": PNG_URI, "detail": "auto"},
            ],
        }
        return excerpt(ask(self._agent(), [message]))

    def _badkey(self) -> str:
        return expect_error(lambda: ask(self._agent(BAD_KEY), "x"), openai.AuthenticationError)


def ask(agent: Agent[None], question: str | list[TResponseInputItem]) -> Any:
    """Return an agent's final output."""
    return asyncio.run(Runner.run(agent, question)).final_output


if __name__ == "__main__":
    run(
        "openai-agents",
        {
            **prefixed("responses", Suite(OpenAIResponsesModel).checks()),
            **prefixed("chat", Suite(OpenAIChatCompletionsModel).checks()),
        },
    )
