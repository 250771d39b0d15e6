"""CrewAI: a crew of two agents with two tools and a task that builds on another one, unary and streamed, on two APIs."""

import os
from typing import Any

os.environ |= {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "OTEL_SDK_DISABLED": "true",
    "CREWAI_TRACING_ENABLED": "false",
}

from crewai import LLM, Agent, Crew, Task
from crewai.tools import BaseTool, tool
from openai import AuthenticationError
from pydantic import BaseModel

from tests.clients.common import (
    API_KEY,
    BAD_KEY,
    BASE_URL,
    MODEL,
    SCHEMA_PROMPT,
    TOOL_RESULT,
    Checks,
    expect_error,
    prefixed,
    run,
)


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class Suite:
    """The checks of one of the two APIs that CrewAI's own OpenAI provider speaks."""

    def __init__(self, api: str) -> None:
        self._api = api
        self._calls: list[str] = []

    def checks(self) -> Checks:
        """Return the checks by name."""
        return {
            "crew": lambda: self._crew(stream=False),
            "crew_stream": lambda: self._crew(stream=True),
            "structured": self._structured,
            "badkey": self._badkey,
        }

    def _model(self, key: str = API_KEY, **options: Any) -> LLM:
        return LLM(model=f"openai/{MODEL}", base_url=BASE_URL, api_key=key, api=self._api, **options)

    def _tools(self) -> list[BaseTool]:
        def get_weather(city: str) -> str:
            """Weather of a city."""
            self._calls.append(f"get_weather {city}")
            return TOOL_RESULT

        def get_time(city: str) -> str:
            """Local time in a city."""
            self._calls.append(f"get_time {city}")
            return "12:00"

        return [tool("get_weather")(get_weather), tool("get_time")(get_time)]

    def _agent(self, role: str, **options: Any) -> Agent:
        return Agent(role=role, goal="Answer", backstory="Terse.", verbose=False, **options)

    def _crew(self, *, stream: bool) -> str:
        self._calls.clear()
        model = self._model(stream=stream)
        reporter = self._agent("Reporter", llm=model, tools=self._tools())
        editor = self._agent("Editor", llm=model, tools=self._tools())
        report = Task(
            description="Use get_weather and get_time in Paris, in two steps.", expected_output="A sentence.", agent=reporter
        )  # fmt: skip
        edit = Task(
            description="Call get_time in Rome, then sum up.", expected_output="A sentence.", agent=editor, context=[report]
        )  # fmt: skip
        result = Crew(agents=[reporter, editor], tasks=[report, edit], verbose=False).kickoff()
        assert {"get_weather Paris", "get_time Paris", "get_time Rome"} <= set(self._calls), self._calls
        assert TOOL_RESULT in result.tasks_output[0].raw, result.tasks_output
        assert "12:00" in result.raw, result.raw
        assert result.token_usage.total_tokens, result.token_usage
        return f"{len(self._calls)} calls"

    def _structured(self) -> str:
        agent = self._agent("Clerk", llm=self._model())
        task = Task(
            description=SCHEMA_PROMPT, expected_output="A person.", agent=agent, output_pydantic=Person
        )
        person = Crew(agents=[agent], tasks=[task], verbose=False).kickoff().pydantic
        assert isinstance(person, Person), person
        return repr(person)

    def _badkey(self) -> str:
        return expect_error(lambda: self._model(BAD_KEY, max_retries=0).call("x"), AuthenticationError)


if __name__ == "__main__":
    # CrewAI 1.15.30 loses the calls of a streamed response: only its other three handlers return them to the agent.
    responses = {**Suite("responses").checks(), "crew_stream": None}
    run("crewai", {**Suite("completions").checks(), **prefixed("responses", responses)})
