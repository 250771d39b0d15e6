"""Run inside the throw-away server by run.sh: the official SDK against https://gateway.test."""

import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import openai
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionUserMessageParam

KEY = "AIzaCanaryCanaryCanaryCanaryCanary"
MODEL = "gemini-2.5-flash"
THINKER = "gemini-3-flash-preview"
NOTED = Path("/root/call-id")
QUESTION: ChatCompletionUserMessageParam = {"role": "user", "content": "Use get_weather in Oslo."}
CITY: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": CITY},
}


def client() -> openai.OpenAI:
    return openai.OpenAI(base_url="https://gateway.test/v1", api_key=KEY, max_retries=0)


def chat() -> None:
    """Unary and streamed; the chunks of a stream arrive one by one, not at its end."""
    wait_until_served()
    answer = client().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "You said: hi"
    prompt = "[[chunks 50]]" + "x" * 500
    stream = client().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": prompt}], stream=True
    )
    times = [time.monotonic() for chunk in stream if chunk.choices and chunk.choices[0].delta.content]
    gaps = [b - a for a, b in pairwise(times)]
    assert len(times) > 40, len(times)
    assert sum(gap > 0.005 for gap in gaps) > 30, gaps
    print(f"unary and streamed: {len(times)} chunks over {times[-1] - times[0]:.2f} s")


def team() -> None:
    """Both issued keys are served from the pool: one of before the service had a ledger, one of after."""
    wait_until_served()
    for name in ("ada", "bob"):
        key = Path(f"/root/{name}").read_text().strip()
        member = openai.OpenAI(base_url="https://gateway.test/v1", api_key=key, max_retries=0)
        answer = member.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": name}])
        assert answer.choices[0].message.content == f"You said: {name}"
    print("two members of a team, served from the pool")


def wait_until_served() -> None:
    """After a boot nginx may be a moment behind."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            client().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
        except (openai.APIConnectionError, openai.InternalServerError):
            time.sleep(0.2)
        else:
            return


def begin() -> None:
    """A call, whose thought signature the client will drop."""
    answer = client().chat.completions.create(model=THINKER, messages=[QUESTION], tools=[TOOL])
    call = (answer.choices[0].message.tool_calls or [])[0]
    NOTED.write_text(call.id)


def resume() -> None:
    """Its result, after everything was restarted: the signature comes from the gateway's own file."""
    call_id = NOTED.read_text()
    function = {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
    answer = client().chat.completions.with_raw_response.create(
        model=THINKER,
        tools=[TOOL],
        messages=[
            QUESTION,
            {"role": "assistant", "tool_calls": [{"id": call_id, "type": "function", "function": function}]},  # type: ignore[typeddict-item]
            {"role": "tool", "tool_call_id": call_id, "content": "sunny"},
        ],
    )
    assert answer.parse().choices[0].message.content == "The tool said: sunny"
    assert "thought_signature" not in answer.headers.get("x-gateway-notes", ""), answer.headers
    print("a signature outlived the reboot")


def load() -> None:
    """Requests and streams for some seconds, while the service is restarted around them: none may fail."""
    end = time.monotonic() + 12
    failures: list[str] = []
    counts = {"requests": 0, "streams": 0}

    def work(streamed: bool) -> None:
        sdk = client()
        while time.monotonic() < end:
            try:
                if streamed:
                    prompt = "[[chunks 100]]" + "x" * 500
                    told = sdk.chat.completions.create(
                        model=MODEL, messages=[{"role": "user", "content": prompt}], stream=True
                    )
                    finish = [c.choices[0].finish_reason for c in told if c.choices][-1]
                    counts["streams"] += 1
                    if finish != "stop":
                        failures.append(f"finish {finish}")
                else:
                    sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
                    counts["requests"] += 1
            except openai.OpenAIError as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=work, args=(i % 4 == 0,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"under restarts: {counts}, {len(failures)} failures {failures[:3]}")
    assert not failures
    assert min(counts.values()) > 10


if __name__ == "__main__":
    {"chat": chat, "load": load, "begin": begin, "resume": resume, "team": team}[sys.argv[1]]()
