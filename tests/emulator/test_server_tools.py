"""Parts of Google's own tools in an answer, and in the history that a client sends back."""

from typing import Any

import pytest

from gateway.emulator.server_tools import invoked
from tests.support.emulator import answer, call, user
from tests.support.servers import Fake

M = "gemini-3-flash-preview"
FUNCTION = {"functionDeclarations": [{"name": "get_weather"}]}
FLAG = {"toolConfig": {"includeServerSideToolInvocations": True}}


@pytest.mark.parametrize(
    ("tool", "kind", "args"),
    [
        ("googleSearch", "GOOGLE_SEARCH_WEB", {"queries": ["see https://a.example/x"]}),
        ("urlContext", "URL_CONTEXT", {"urls": ["https://a.example/x"]}),
        ("googleMaps", "GOOGLE_MAPS", {"queries": ["see https://a.example/x"]}),
    ],
)
def test_a_tool_is_called_and_answers(tool: str, kind: str, args: Any) -> None:
    request = {"contents": [user("see https://a.example/x")], "tools": [{tool: {}}], **FLAG}
    called, result = invoked(request)

    assert (called["toolCall"]["toolType"], called["toolCall"]["args"]) == (kind, args)
    assert result["toolResponse"]["toolType"] == kind
    assert called["toolCall"]["id"] == result["toolResponse"]["id"]
    assert called["thoughtSignature"] != result["thoughtSignature"]
    assert invoked({**request, "toolConfig": {}}) == []
    assert invoked({**request, "tools": [FUNCTION]}) == []


def test_the_parts_come_before_calls_and_texts_of_the_first_step() -> None:
    tools = [{"googleSearch": {}}, FUNCTION]
    with_call = answer(M, "weather?", tools=tools, **FLAG)["content"]["parts"]
    with_text = answer(M, "hi", tools=tools, **FLAG)["content"]["parts"]

    assert [next(iter(part)) for part in with_call] == ["toolCall", "toolResponse", "functionCall"]
    assert [next(iter(part)) for part in with_text] == ["toolCall", "toolResponse", "text"]
    request = {"tools": tools, "contents": [user("weather?"), {"role": "model", "parts": with_call}], **FLAG}
    assert invoked(request) == []


@pytest.mark.parametrize("position", [0, 1])
async def test_a_history_is_taken_back_and_a_foreign_signature_refused(fake: Fake, position: int) -> None:
    tools = [{"googleSearch": {}}, FUNCTION]
    url = f"{fake.url}/v1beta/models/{M}:generateContent"
    body = {"contents": [user("hi")], "tools": tools, **FLAG}
    _, first = await call("POST", url, body)
    parts = first["candidates"][0]["content"]["parts"]
    history = [user("hi"), {"role": "model", "parts": parts}, user("again")]
    assert (await call("POST", url, {**body, "contents": history}))[0] == 200

    parts[position]["thoughtSignature"] = "Zm9yZWlnbg=="
    status, refusal = await call("POST", url, {**body, "contents": history})
    assert (status, refusal["error"]["message"]) == (400, "Thought signature is not valid")
