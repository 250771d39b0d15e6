"""Tools that Google ran, over two turns of Responses: their parts go back with their signatures."""

from typing import Any

import aiohttp
import pytest

from tests.plugins.chat.test_exchange import bodies, events, gemini
from tests.plugins.chat.test_server_parts import CODE, SEARCHED
from tests.support.frames import frames
from tests.support.responses import gemini_body, translation
from tests.support.servers import RawUpstream, Serve, ok

F37 = "gemini-3.7-flash"
CALL = {"functionCall": {"name": "f", "args": {"a": 1}, "id": "fc1"}, "thoughtSignature": "U0lHMw=="}
FUNCTION = {
    "type": "function",
    "name": "f",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
}
TOOLS = [FUNCTION, {"type": "web_search"}, {"type": "code_interpreter", "container": {"type": "auto"}}]
RESULT = {"type": "function_call_output", "call_id": "fc1", "output": "12"}
WAYS = pytest.mark.parametrize("streamed", [False, True], ids=["unary", "streamed"])


@pytest.fixture
async def base(serve: Serve, raw_upstream: RawUpstream) -> str:
    return await serve("plugins: {responses: {}}", raw_upstream.url)


async def respond(
    http: aiohttp.ClientSession, base: str, *, stream: bool = False, **body: Any
) -> dict[str, Any]:
    request = {"model": F37, "tools": TOOLS, "stream": stream, **body}
    headers = {"Authorization": "Bearer test-key"}
    async with http.post(f"{base}/v1/responses", json=request, headers=headers) as response:
        assert response.status == 200, await response.text()
        if not stream:
            return dict(await response.json())
        return dict(frames(await response.read())[-1]["response"])


def without_ids(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return items as Codex keeps them: the ids of items are dropped."""
    return [{name: value for name, value in item.items() if name != "id"} for item in items]


@pytest.mark.row("T9")
@WAYS
@pytest.mark.parametrize("way", ["items", "ids dropped", "previous_response_id"])
async def test_t09_a_search_before_a_call_goes_back(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, way: str, *, streamed: bool
) -> None:
    first, second = gemini([*SEARCHED, CALL]), gemini([{"text": "fine"}])
    raw_upstream.scripts = [events(first) if streamed else ok(first), ok(second)]
    response = await respond(http, base, stream=streamed, input="hi")
    output = response["output"]
    assert [item["type"] for item in output] == ["web_search_call", "function_call"]

    if way == "previous_response_id":
        await respond(http, base, input=[RESULT], previous_response_id=response["id"])
    else:
        items = without_ids(output) if way == "ids dropped" else output
        await respond(http, base, input=[{"role": "user", "content": "hi"}, *items, RESULT])
    request = bodies(raw_upstream)[1]

    parts = [part for part in request["contents"][1]["parts"] if "text" not in part]
    assert parts == [*SEARCHED, CALL]
    assert request["toolConfig"]["includeServerSideToolInvocations"] is True


@pytest.mark.row("T9")
@WAYS
@pytest.mark.parametrize("way", ["items", "ids dropped", "previous_response_id"])
async def test_t09_code_goes_back(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, way: str, *, streamed: bool
) -> None:
    first, second = gemini([{"text": "So: "}, *CODE, {"text": "Done."}]), gemini([{"text": "fine"}])
    raw_upstream.scripts = [events(first) if streamed else ok(first), ok(second)]
    include = ["reasoning.encrypted_content"]
    response = await respond(http, base, stream=streamed, input="hi", include=include)

    again = {"role": "user", "content": "and?"}
    if way == "previous_response_id":
        await respond(http, base, input=[again], previous_response_id=response["id"])
    else:
        items = without_ids(response["output"]) if way == "ids dropped" else response["output"]
        await respond(http, base, input=[{"role": "user", "content": "hi"}, *items, again])
    parts = bodies(raw_upstream)[1]["contents"][1]["parts"]

    expected = [{"text": "So: "}, *CODE, {"text": "Done."}]
    if way == "ids dropped":  # no id leads to the store, but the item holds code, signature and result
        expected[1] = {
            "executableCode": {"code": "print(1)", "language": "PYTHON"},
            "thoughtSignature": "U0lHMQ==",
        }
    for part in (expected[2], parts[2]):
        part["codeExecutionResult"].pop("id", None)
    assert parts == expected


CODE_ITEM = {"type": "code_interpreter_call", "id": "ci_1", "container_id": "c", "status": "completed", "code": "1/0",
             "outputs": [{"type": "logs", "logs": "Error: boom"}, {"type": "image", "url": "x"}, 5]}  # fmt: skip
SEARCH_ITEM = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "q"},
}


@pytest.mark.row("T9")
def test_t09_code_of_another_server_goes_back_as_code() -> None:
    request = {
        "model": F37,
        "input": [{"role": "user", "content": "x"}, CODE_ITEM, {"role": "user", "content": "y"}],
    }

    assert gemini_body({**request, "tools": TOOLS})["contents"][1]["parts"] == [
        {"executableCode": {"code": "1/0", "language": "PYTHON"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "boom"}},
    ]
    told = gemini_body(request)["contents"][1]["parts"]
    assert told[0]["text"].startswith("[code_interpreter_call] ")
    silent = {**CODE_ITEM, "outputs": None}
    body = gemini_body({**request, "input": [silent, {"role": "user", "content": "y"}], "tools": TOOLS})
    assert body["contents"][1]["parts"][1] == {"codeExecutionResult": {"outcome": "OUTCOME_OK"}}


@pytest.mark.row("T9")
@pytest.mark.parametrize("tools", [[], TOOLS])
def test_t09_a_search_that_the_store_does_not_know_is_told_and_noted(tools: list[Any]) -> None:
    request = {"model": F37, "tools": tools,
               "input": [{"role": "user", "content": "x"}, SEARCH_ITEM, {"role": "user", "content": "y"}]}  # fmt: skip

    (part,) = gemini_body(request)["contents"][1]["parts"]
    assert part["text"].startswith("[web_search_call] ")
    assert translation(request).notes == ["input[1].type=web_search_call"]
