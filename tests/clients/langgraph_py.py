"""LangGraph: ReAct agents with two tools over several turns of a thread, unary and streamed, on two APIs."""

from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import SecretStr

from tests.clients.common import API_KEY, BASE_URL, MODEL, TOOL_RESULT, Checks, prefixed, run

QUESTIONS = (
    "Use get_weather and get_time in Paris, in two steps.",
    "And now get_time in Rome.",
    "Compare: get_weather in Oslo.",
)
CALLS = ["get_time Paris", "get_time Paris", "get_time Rome", "get_weather Oslo", "get_weather Paris", "get_weather Paris"]  # fmt: skip
"""All calls of a conversation, in the order of the alphabet."""


class Suite:
    """The checks of one of ChatOpenAI's two APIs."""

    def __init__(self, *, use_responses_api: bool) -> None:
        self._use_responses_api = use_responses_api
        self._calls: list[str] = []

    def checks(self) -> Checks:
        """Return the checks by name."""
        return {
            "agent": lambda: self._turns(self._agent(), streams=False),
            "agent_stream": lambda: self._turns(self._agent(), streams=True),
            "graph": lambda: self._turns(self._graph(), streams=False),
            "graph_stream": lambda: self._turns(self._graph(), streams=True),
        }

    def _model(self) -> ChatOpenAI:
        return ChatOpenAI(
            base_url=BASE_URL,
            api_key=SecretStr(API_KEY),
            model=MODEL,
            timeout=60,
            stream_usage=True,
            use_responses_api=self._use_responses_api,
        )

    def _tools(self) -> list[Any]:
        @tool
        def get_weather(city: str) -> str:
            """Weather of a city."""
            self._calls.append(f"get_weather {city}")
            return TOOL_RESULT

        @tool
        def get_time(city: str) -> dict[str, str]:
            """Local time in a city."""
            self._calls.append(f"get_time {city}")
            return {"time": "12:00", "city": city}

        return [get_weather, get_time]

    def _agent(self) -> Any:
        prompt = "You are a terse assistant."
        return create_agent(self._model(), self._tools(), system_prompt=prompt, checkpointer=InMemorySaver())

    def _graph(self) -> Any:
        """Build the loop of model and tools by hand."""
        tools = self._tools()
        model = self._model().bind_tools(tools)
        graph = StateGraph(MessagesState)
        graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
        graph.add_node("tools", ToolNode(tools))
        graph.add_edge(START, "model")
        graph.add_conditional_edges("model", tools_condition)
        graph.add_edge("tools", "model")
        return graph.compile(checkpointer=InMemorySaver())

    def _turns(self, agent: Any, *, streams: bool) -> str:
        self._calls.clear()
        config = {"configurable": {"thread_id": "1"}}
        for question in QUESTIONS:
            state = {"messages": [HumanMessage(question)]}
            if streams:
                _stream(agent, state, config)
            else:
                agent.invoke(state, config)
        messages = agent.get_state(config).values["messages"]
        assert sorted(self._calls) == CALLS, self._calls
        results = [message for message in messages if isinstance(message, ToolMessage)]
        assert [result.status for result in results] == ["success"] * len(CALLS), results
        last = messages[-1]
        assert TOOL_RESULT in last.text, last
        assert last.usage_metadata["total_tokens"], last
        return f"{len(messages)} messages, {len(self._calls)} calls"


def _stream(agent: Any, state: dict[str, Any], config: dict[str, Any]) -> None:
    """Run one turn. Raises AssertionError if its text did not come in pieces."""
    stream = agent.stream(state, config, stream_mode="messages")
    pieces = [chunk.text for chunk, _ in stream if isinstance(chunk, AIMessageChunk) and chunk.text]
    assert len(pieces) > 1, pieces


if __name__ == "__main__":
    run(
        "langgraph",
        {
            **Suite(use_responses_api=False).checks(),
            **prefixed("responses", Suite(use_responses_api=True).checks()),
        },
    )
