"""The Messages surface over HTTP, on the emulator."""

import json
from typing import Any

import aiohttp
import pytest

from gateway.plugins.messages.wire import Block, MessagesRequest
from tests.plugins.messages.test_golden import accumulated
from tests.support.frames import frames
from tests.support.servers import Fake, RawUpstream, Serve

F3 = "gemini-3-flash-preview"
TOOL = {"name": "get_weather", "input_schema": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}  # fmt: skip
USER = {"role": "user", "content": "hi"}


async def post(http: aiohttp.ClientSession, base: str, path: str = "", **body: Any) -> tuple[int, Any, Any]:
    body = {"model": F3, "max_tokens": 500, "messages": [USER], **body}
    async with http.post(f"{base}/v1/messages{path}", json=body) as response:
        return response.status, response.headers, await response.json()


async def test_an_answer(http: aiohttp.ClientSession, gateway: str) -> None:
    status, headers, answer = await post(http, gateway, metadata={"user_id": "u"})

    assert status == 200
    assert answer["content"] == [{"type": "text", "text": "You said: hi"}]
    assert (answer["type"], answer["role"], answer["stop_reason"], answer["model"]) == (
        "message",
        "assistant",
        "end_turn",
        F3,
    )
    assert answer["usage"]["input_tokens"] > 0
    assert headers["x-gateway-notes"] == "metadata"


@pytest.mark.parametrize("keeps_thoughts", [True, False])
async def test_a_tool_loop(
    http: aiohttp.ClientSession, gateway: str, fake: Fake, keeps_thoughts: bool
) -> None:
    messages: list[Any] = [{"role": "user", "content": "Use get_weather in Oslo, in 3 steps."}]
    for _ in range(3):
        _, _, answer = await post(http, gateway, messages=messages, tools=[TOOL])
        assert answer["stop_reason"] == "tool_use"
        (use,) = [block for block in answer["content"] if block["type"] == "tool_use"]
        assert use["input"] == {"city": "Oslo"}
        kept = answer["content"] if keeps_thoughts else [use]
        result = {"type": "tool_result", "tool_use_id": use["id"], "content": "SUNNY-42"}
        messages += [{"role": "assistant", "content": kept}, {"role": "user", "content": [result]}]
    _, _, answer = await post(http, gateway, messages=messages, tools=[TOOL])

    assert answer["content"][0]["text"] == "The tool said: SUNNY-42"
    sent = [
        p["thoughtSignature"] for c in fake.last.body["contents"] for p in c["parts"] if "functionCall" in p
    ]
    assert "skip_thought_signature_validator" not in sent


async def test_a_stream(http: aiohttp.ClientSession, gateway: str) -> None:
    body = {
        "model": F3,
        "max_tokens": 500,
        "messages": [USER],
        "stream": True,
        "thinking": {"type": "adaptive"},
    }
    async with http.post(f"{gateway}/v1/messages", json=body) as response:
        text = await response.text()

    events = frames(text)
    assert [line[7:] for line in text.split("\n") if line.startswith("event: ")] == [
        e["type"] for e in events
    ]
    deltas = [e["delta"] for e in events if e["type"] == "content_block_delta"]
    assert deltas[0]["type"] == "thinking_delta"
    assert "".join(d.get("text", "") for d in deltas) == "You said: hi"


@pytest.mark.parametrize(
    ("prompt", "status", "kind"),
    [
        ("[[429]]", 429, "rate_limit_error"),
        ("[[503]]", 529, "overloaded_error"),
        ("[[500]]", 500, "api_error"),
    ],
)
async def test_failures_are_anthropics(
    http: aiohttp.ClientSession, gateway: str, prompt: str, status: int, kind: str
) -> None:
    answer_status, headers, answer = await post(http, gateway, messages=[{"role": "user", "content": prompt}])

    assert (answer_status, answer["type"], answer["error"]["type"]) == (status, "error", kind)
    assert answer["request_id"] == headers["x-request-id"]


FTP = {"type": "image", "source": {"type": "url", "url": "ftp://x"}}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"messages": [USER, {"role": "user", "content": 5}]}, "messages.1.content: "),
        ({"temperature": "hot"}, "temperature: "),
        ({"system": "s", "messages": [{"role": "user", "content": [FTP]}]}, "messages.0.content.0.source.url: "),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages.0.role: Input should be 'user' or 'assistant'"),
    ],
)  # fmt: skip
async def test_an_error_begins_with_its_field(
    http: aiohttp.ClientSession, gateway: str, fields: dict[str, Any], message: str
) -> None:
    status, _, answer = await post(http, gateway, **fields)

    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert answer["error"]["message"].startswith(message)


async def test_a_note_names_the_block_that_is_not_used(http: aiohttp.ClientSession, gateway: str) -> None:
    content = [{"type": "text", "text": "x"}, {"type": "server_tool_use", "id": "s", "name": "web_search"}]
    _, headers, _ = await post(
        http,
        gateway,
        messages=[USER, {"role": "assistant", "content": content}, USER],
        metadata={"user_id": "u"},
    )

    assert headers["x-gateway-notes"] == "messages.1.content.1.type=server_tool_use,metadata"


async def test_a_failure_midstream_is_an_error_event(http: aiohttp.ClientSession, gateway: str) -> None:
    body = {
        "model": F3,
        "max_tokens": 5,
        "stream": True,
        "messages": [{"role": "user", "content": "[[error midstream]]"}],
    }
    async with http.post(f"{gateway}/v1/messages", json=body) as response:
        text = await response.text()

    assert text.rstrip().rpartition("event: ")[2].startswith("error\n")
    assert '"overloaded_error"' in text


async def test_tokens_are_counted(http: aiohttp.ClientSession, gateway: str) -> None:
    status, _, answer = await post(http, gateway, "/count_tokens", max_tokens=None, tools=[TOOL], system="s")

    assert status == 200
    assert answer["input_tokens"] > 0


WRONG: list[Any] = [True, 5, 2.5, "text", [], ["x"], {}, {"x": 1}, None, [None], [{"type": "text"}]]


async def test_no_wrong_type_is_our_fault(http: aiohttp.ClientSession, gateway: str) -> None:
    for field in MessagesRequest.__struct_fields__:
        for value in WRONG:
            status, _, answer = await post(http, gateway, **{field: value, "stream": False})
            assert status in (200, 400), (field, value, answer)
    for field in Block.__struct_fields__:
        for kind in ("text", "image", "tool_use", "tool_result", "thinking", "document"):
            for value in WRONG:
                block = {"type": kind, "id": "a", "name": "f", "tool_use_id": "a", field: value}
                for role in ("user", "assistant"):
                    messages = [{"role": role, "content": [block]}]
                    status, _, answer = await post(http, gateway, messages=messages)
                    assert status in (200, 400), (field, value, answer)


@pytest.mark.row("G6")
async def test_g06_an_overflow_of_the_emulator(http: aiohttp.ClientSession, gateway: str) -> None:
    status, _, answer = await post(http, gateway, messages=[{"role": "user", "content": "[[too long]]"}])

    assert status == 400
    assert answer["error"] == {
        "type": "invalid_request_error",
        "message": "prompt is too long: 1200000 tokens > 1048576 maximum",
    }


SEARCH = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]


@pytest.mark.row("G7")
@pytest.mark.parametrize("streamed", [True, False])
async def test_g07_claude_codes_search(http: aiohttp.ClientSession, gateway: str, streamed: bool) -> None:
    words = [{"type": "text", "text": "Perform a web search for the query: capital of France"}]
    body = {"model": "gemini-2.5-flash", "max_tokens": 2000, "tools": SEARCH, "tool_choice": {"type": "auto"},
            "messages": [{"role": "user", "content": words}]}  # fmt: skip
    async with http.post(f"{gateway}/v1/messages", json={**body, "stream": streamed}) as response:
        assert response.status == 200
        text = await response.text()
    if streamed:
        events = frames(text.encode())
        content, usage = accumulated(events), events[-2]["usage"]
    else:
        content, usage = json.loads(text)["content"], json.loads(text)["usage"]

    (use,) = [block for block in content if block["type"] == "server_tool_use"]
    (result,) = [block for block in content if block["type"] == "web_search_tool_result"]
    assert (use["name"], use["input"]) == ("web_search", {"query": "weather"})
    assert result["tool_use_id"] == use["id"]
    assert [set(source) for source in result["content"]] == [
        {"type", "url", "title", "encrypted_content", "page_age"}
    ] * 2
    assert usage["server_tool_use"]["web_search_requests"] == 1

    status, headers, _ = await post(
        http, gateway, messages=[USER, {"role": "assistant", "content": content}, USER], tools=SEARCH
    )
    assert status == 200
    assert "type=web_search_tool_result" in headers["x-gateway-notes"]


@pytest.mark.row("T9")
async def test_t09_code_goes_back(http: aiohttp.ClientSession, gateway: str, fake: Fake) -> None:
    tools = [{"type": "code_execution_20250825", "name": "code_execution"}]
    _, _, answer = await post(http, gateway, tools=tools)
    assert [block["type"] for block in answer["content"]] == [
        "server_tool_use",
        "code_execution_tool_result",
        "text",
    ]

    history = [USER, {"role": "assistant", "content": answer["content"]}, USER]
    status, headers, _ = await post(http, gateway, messages=history, tools=tools)

    assert status == 200
    assert "x-gateway-notes" not in headers
    assert fake.last.body["contents"][1]["parts"] == [
        {"executableCode": {"language": "PYTHON", "code": "print(6 * 7)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "42\n"}},
        {"text": "It is 42."},
    ]


@pytest.mark.row("T4")
@pytest.mark.parametrize(
    ("reason", "stop", "text"),
    [
        ("NO_IMAGE", "end_turn", "[NO_IMAGE: Unable to show it.]"),
        ("A_NEW_REASON", "end_turn", "[A_NEW_REASON: Unable to show it.]"),
        ("OTHER", "refusal", "Answer blocked by Gemini: OTHER"),
    ],
)
async def test_t04_a_failed_turn_is_told_and_noted(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, reason: str, stop: str, text: str
) -> None:
    candidate = {"finishReason": reason, "finishMessage": "Unable to show it.", "index": 0}
    data = json.dumps({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 1}}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    raw_upstream.scripts = [[head.encode() + data]]
    status, headers, answer = await post(http, await serve("", raw_upstream.url))

    assert (status, answer["stop_reason"], answer["content"][-1]["text"]) == (200, stop, text)
    assert f"finish_reason={reason}" in headers["x-gateway-notes"]


async def test_marks_of_prompt_caching_are_ignored(
    http: aiohttp.ClientSession, gateway: str, fake: Fake
) -> None:
    """Gemini caches by itself. Only the field of the whole request is noted: agents mark every turn."""
    mark: dict[str, Any] = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    content = [{"type": "text", "text": "hi", **mark}]
    system = [{"type": "text", "text": "s", **mark}]
    messages = [{"role": "user", "content": content}]
    status, headers, _ = await post(
        http, gateway, messages=messages, system=system, tools=[{**TOOL, **mark}], **mark
    )

    assert (status, headers["x-gateway-notes"]) == (200, "cache_control")
    assert "ephemeral" not in json.dumps(fake.last.body)
