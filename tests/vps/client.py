"""The official SDK against https://gateway.test; run.sh runs it inside the throw-away server, one check at a time."""

import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import openai
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageParam,
)

KEY = "AQ.CanaryCanaryCanaryCanaryCanary"
"""run.sh looks for it in the logs."""
MODEL = "gemini-2.5-flash"
THINKING_MODEL = "gemini-3-flash-preview"
"""Its tool calls have a thought signature."""
CALL_ID = Path("/root/call-id")
QUESTION = "Use get_weather in Oslo."
CITY: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": CITY},
}
LOAD_SECONDS = 12
LOAD_THREADS = 20


def connect(key: str = KEY) -> openai.OpenAI:
    """Return a client of the gateway, without retries."""
    return openai.OpenAI(base_url="https://gateway.test/v1", api_key=key, max_retries=0)


def user(text: str) -> list[ChatCompletionMessageParam]:
    """Return a conversation of one user message."""
    return [{"role": "user", "content": text}]


def long_prompt(chunks: int) -> list[ChatCompletionMessageParam]:
    """Return a message that the emulator answers with so many chunks, some milliseconds apart."""
    return user(f"[[chunks {chunks}]]" + "x" * 500)


def wait_until_served() -> None:
    """Ask until an answer arrives, for 30 seconds at most: after a boot nginx may be up last."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            connect().chat.completions.create(model=MODEL, messages=user("hi"))
        except (openai.APIConnectionError, openai.InternalServerError):
            time.sleep(0.2)
        else:
            return


def chat() -> None:
    """Check a unary answer, and that a stream's chunks arrive one by one and not at its end."""
    wait_until_served()
    answer = connect().chat.completions.create(model=MODEL, messages=user("hi"))
    assert answer.choices[0].message.content == "You said: hi"
    stream = connect().chat.completions.create(model=MODEL, messages=long_prompt(50), stream=True)
    times = [time.monotonic() for chunk in stream if chunk.choices and chunk.choices[0].delta.content]
    gaps = [after - before for before, after in pairwise(times)]
    assert len(times) > 40, len(times)
    assert sum(gap > 0.005 for gap in gaps) > 30, gaps
    print(f"unary and streamed: {len(times)} chunks over {times[-1] - times[0]:.2f} s")


def team() -> None:
    """Check two issued keys, one from before the service opened its ledger and one from after."""
    wait_until_served()
    for name in ("ada", "bob"):
        key = Path(f"/root/{name}").read_text().strip()
        answer = connect(key).chat.completions.create(model=MODEL, messages=user(name))
        assert answer.choices[0].message.content == f"You said: {name}"
    print("two members of a team, served from the pool")


def call() -> None:
    """Let the model call a tool, and keep the call's id only, as clients do that drop the thought signature."""
    answer = connect().chat.completions.create(model=THINKING_MODEL, messages=user(QUESTION), tools=[TOOL])
    calls = answer.choices[0].message.tool_calls
    assert calls, answer
    CALL_ID.write_text(calls[0].id)


def result() -> None:
    """Send the tool's result after the reboot, and check that the gateway still has the call's signature."""
    call_id = CALL_ID.read_text()
    assistant: ChatCompletionAssistantMessageParam = {
        "role": "assistant",
        "tool_calls": [
            {
                "id": call_id,
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'},
            }
        ],
    }
    answer = connect().chat.completions.with_raw_response.create(
        model=THINKING_MODEL,
        tools=[TOOL],
        messages=[
            *user(QUESTION),
            assistant,
            {"role": "tool", "tool_call_id": call_id, "content": "sunny"},
        ],
    )
    assert answer.parse().choices[0].message.content == "The tool said: sunny"
    assert "thought_signature" not in answer.headers.get("x-gateway-notes", ""), answer.headers
    print("a signature outlived the reboot")


class Load:
    """Requests and streams from several threads for LOAD_SECONDS."""

    def __init__(self) -> None:
        self._end = time.monotonic() + LOAD_SECONDS
        self.requests = 0
        self.streams = 0
        self.failures: list[str] = []

    def run(self) -> None:
        """Run all threads; every fourth one streams."""
        targets = [self._stream if i % 4 == 0 else self._request for i in range(LOAD_THREADS)]
        threads = [threading.Thread(target=self._repeat, args=(target,)) for target in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _repeat(self, target: Callable[[openai.OpenAI], None]) -> None:
        client = connect()
        while time.monotonic() < self._end:
            try:
                target(client)
            except openai.OpenAIError as error:
                self.failures.append(repr(error))

    def _request(self, client: openai.OpenAI) -> None:
        client.chat.completions.create(model=MODEL, messages=user("hi"))
        self.requests += 1

    def _stream(self, client: openai.OpenAI) -> None:
        stream = client.chat.completions.create(model=MODEL, messages=long_prompt(100), stream=True)
        finish = [chunk.choices[0].finish_reason for chunk in stream if chunk.choices][-1]
        self.streams += 1
        if finish != "stop":
            self.failures.append(f"finish reason {finish}")


def load() -> None:
    """Check that no request and no stream fails while run.sh restarts the service."""
    work = Load()
    work.run()
    print(
        f"under restarts: {work.requests} requests, {work.streams} streams, "
        f"{len(work.failures)} failures {work.failures[:3]}"
    )
    assert not work.failures
    assert min(work.requests, work.streams) > 10


if __name__ == "__main__":
    {"chat": chat, "load": load, "call": call, "result": result, "team": team}[sys.argv[1]]()
