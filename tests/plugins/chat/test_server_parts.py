"""Parts that Google's own tools made, over two turns of chat: they go back with their signatures."""

import copy
import json
from typing import Any

import aiohttp
import pytest

from tests.plugins.chat.test_exchange import ask, bodies, events, gemini
from tests.support.frames import frames
from tests.support.servers import RawUpstream, Serve, ok

F37 = "gemini-3.7-flash"
USER = {"role": "user", "content": "hi"}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}  # fmt: skip
SEARCHED: list[dict[str, Any]] = [
    {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["q"]}, "id": "t1"}, "thoughtSignature": "U0lHMQ=="},
    {"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "response": {"x": 1}, "id": "t1"}, "thoughtSignature": "U0lHMg=="},
]  # fmt: skip
CALL = {
    "functionCall": {"name": "get_weather", "args": {"city": "X"}, "id": "fc1"},
    "thoughtSignature": "U0lHMw==",
}
CODE: list[dict[str, Any]] = [
    {
        "executableCode": {"code": "print(1)", "language": "PYTHON", "id": "x1"},
        "thoughtSignature": "U0lHMQ==",
    },
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n", "id": "x1"}},
]


@pytest.fixture
async def base(serve: Serve, raw_upstream: RawUpstream) -> str:
    return await serve("plugins: {chat: {}}", raw_upstream.url)


async def answer(http: aiohttp.ClientSession, base: str, *, streamed: bool, **body: Any) -> dict[str, Any]:
    """Return the message of an answer; that of a stream is put together as SDKs do it."""
    status, _, answered = await ask(http, base, stream=streamed, **body)
    assert status == 200, answered
    if not streamed:
        return dict(answered["choices"][0]["message"])
    message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": []}
    for chunk in frames(answered.removesuffix("data: [DONE]\n\n").encode()):
        for choice in chunk["choices"]:
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            message["tool_calls"] += [
                {k: v for k, v in c.items() if k != "index"} for c in delta.get("tool_calls", ())
            ]
            if "extra_content" in delta:
                message["extra_content"] = delta["extra_content"]
    return {key: value for key, value in message.items() if value}


def bare(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as clients keep it that drop unknown fields."""
    message = copy.deepcopy(message)
    message.pop("extra_content", None)
    for call in message.get("tool_calls") or ():
        call.pop("extra_content", None)
    return message


WAYS = pytest.mark.parametrize("streamed", [False, True], ids=["unary", "streamed"])


@pytest.mark.row("T9")
@WAYS
@pytest.mark.parametrize("keeps_extras", [True, False])
async def test_t09_a_search_before_a_call_goes_back_with_the_call(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, keeps_extras: bool, *, streamed: bool
) -> None:
    first, second = gemini([{"text": "So: "}, *SEARCHED, CALL]), gemini([{"text": "fine"}])
    raw_upstream.scripts = [events(first), ok(second)] if streamed else [ok(first), ok(second)]
    tools = [WEATHER, {"type": "web_search"}]
    message = await answer(http, base, streamed=streamed, model=F37, messages=[USER], tools=tools)
    assert message["extra_content"]["google"]["server_parts"] == SEARCHED

    history = [
        USER,
        message if keeps_extras else bare(message),
        {"role": "tool", "tool_call_id": "fc1", "content": "12"},
    ]
    await ask(http, base, model=F37, messages=history, tools=tools)
    request = bodies(raw_upstream)[1]

    parts = request["contents"][1]["parts"]
    assert [part for part in parts if "text" not in part] == [*SEARCHED, CALL]
    assert "".join(part.get("text", "") for part in parts) == "So: "
    assert request["toolConfig"]["includeServerSideToolInvocations"] is True


@pytest.mark.row("T9")
@WAYS
@pytest.mark.parametrize("keeps_extras", [True, False])
async def test_t09_code_goes_back_where_it_stood(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, keeps_extras: bool, *, streamed: bool
) -> None:
    first, second = gemini([{"text": "So: "}, *CODE, {"text": "Done."}]), gemini([{"text": "fine"}])
    raw_upstream.scripts = [events(first), ok(second)] if streamed else [ok(first), ok(second)]
    tools = [{"type": "code_interpreter"}]
    message = await answer(http, base, streamed=streamed, model=F37, messages=[USER], tools=tools)
    assert "print(1)" in message["content"]

    await ask(
        http, base, model=F37, messages=[USER, message if keeps_extras else bare(message), USER], tools=tools
    )
    await ask(http, base, model=F37, messages=[USER, message if keeps_extras else bare(message), USER])
    _, again, without = bodies(raw_upstream)

    assert again["contents"][1]["parts"] == [{"text": "So: "}, *CODE, {"text": "Done."}]
    assert without["contents"][1]["parts"] == [{"text": message["content"]}]


@pytest.mark.row("T9")
async def test_t09_another_client_has_no_parts_of_the_first(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [ok(gemini([*SEARCHED, CALL])), ok(gemini([{"text": "fine"}]))]
    tools = [WEATHER, {"type": "web_search"}]
    message = await answer(http, base, streamed=False, model=F37, messages=[USER], tools=tools)
    history = [USER, bare(message), {"role": "tool", "tool_call_id": "fc1", "content": "12"}]
    await ask(http, base, key="another", model=F37, messages=history, tools=tools)

    assert "toolCall" not in json.dumps(bodies(raw_upstream)[1])


@pytest.mark.row("T9")
@pytest.mark.parametrize("given", [5, [{"toolCall": 5}], "x"])
async def test_t09_parts_in_another_form_are_noted(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, given: Any
) -> None:
    raw_upstream.scripts = [ok(gemini([{"text": "fine"}]))]
    message = {"role": "assistant", "content": "a", "extra_content": {"google": {"server_parts": given}}}
    status, headers, _ = await ask(http, base, messages=[USER, message, USER], tools=[{"type": "web_search"}])

    assert status == 200
    assert headers["x-gateway-notes"] == "messages[1].extra_content.google.server_parts"
