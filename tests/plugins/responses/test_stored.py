"""Stored responses and their items by id: references to items over HTTP, and the store itself."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import openai
import pytest

from gateway.exchange.ids import unique
from gateway.plugins.responses.stored import input_items
from tests.support.frames import frames
from tests.support.redis_server import RedisServer, needs_redis
from tests.support.servers import Fake, Serve
from tests.support.waiting import eventually

F3 = "gemini-3-flash-preview"
TOOL: Any = {"type": "function", "name": "get_weather", "strict": False,
             "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}  # fmt: skip


@pytest.fixture
async def redis_url(tmp_path: Path) -> AsyncIterator[str]:
    server = RedisServer(tmp_path)
    await eventually(lambda: is_open(server.port))
    yield server.url
    server.stop()


def is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


async def post(http: aiohttp.ClientSession, base: str, key: str = "k", **body: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    async with http.post(f"{base}/v1/responses", json={"model": F3, **body}, headers=headers) as response:
        if body.get("stream"):
            return response.status, frames(await response.read())
        return response.status, await response.json()


async def created(http: aiohttp.ClientSession, base: str, **body: Any) -> Any:
    """Return a response; of a stream, the last one."""
    status, answer = await post(http, base, **body)
    assert status == 200
    return answer[-1]["response"] if body.get("stream") else answer


def reference(name: str) -> dict[str, Any]:
    return {"type": "item_reference", "id": name}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_text", "text": text}]}


def texts(fake: Fake) -> list[tuple[str, str]]:
    """Return the role and the text of each content that Gemini got last."""
    return [(c["role"], "".join(p.get("text", "") for p in c["parts"])) for c in fake.last.body["contents"]]


@pytest.mark.row("G4")
@pytest.mark.parametrize("streamed", [False, True])
async def test_g04_a_reference_stands_for_the_item(
    http: aiohttp.ClientSession, gateway: str, fake: Fake, streamed: bool
) -> None:
    first = await created(http, gateway, input=[user("hello")], stream=streamed)
    said = first["output"][0]["content"][0]["text"]
    second = first
    for named in (reference(first["output"][0]["id"]), {"id": first["output"][0]["id"]}):
        second = await created(http, gateway, input=[user("hello"), named, user("again")], stream=streamed)
        assert texts(fake) == [("user", "hello"), ("model", said), ("user", "again")]

    await created(http, gateway, input="more", previous_response_id=second["id"], stream=streamed)
    assert texts(fake)[:3] == [("user", "hello"), ("model", said), ("user", "again")]
    async with http.get(
        f"{gateway}/v1/responses/{second['id']}/input_items", headers={"Authorization": "Bearer k"}
    ) as r:
        assert [item["type"] for item in (await r.json())["data"] if "type" in item] == ["message"]


@pytest.mark.row("G4")
@pytest.mark.parametrize("streamed", [False, True])
async def test_g04_five_turns_of_a_client_that_refers_to_all_it_was_given(
    http: aiohttp.ClientSession, gateway: str, fake: Fake, streamed: bool
) -> None:
    include = {"include": ["reasoning.encrypted_content"], "reasoning": {"summary": "auto"}}
    items: list[Any] = [user("Use get_weather in Oslo, in 4 steps.")]
    for _ in range(4):
        answer = await created(http, gateway, input=items, tools=[TOOL], stream=streamed, **include)
        items += [reference(item["id"]) for item in answer["output"]]
        (call,) = [item for item in answer["output"] if item["type"] == "function_call"]
        items.append({"type": "function_call_output", "call_id": call["call_id"], "output": "SUNNY-42"})
    final = await created(http, gateway, input=items, tools=[TOOL], stream=streamed, **include)

    assert final["output"][-1]["content"][0]["text"] == "The tool said: SUNNY-42"
    parts = [part for content in fake.last.body["contents"] for part in content["parts"]]
    assert len([part for part in parts if "functionCall" in part]) == 4
    signatures = {part.get("thoughtSignature") for part in parts if "functionCall" in part}
    assert not signatures & {None, "skip_thought_signature_validator"}


@pytest.mark.row("G4")
async def test_g04_any_item_of_a_stored_response_can_be_referred_to(
    http: aiohttp.ClientSession, gateway: str, fake: Fake
) -> None:
    call = {"type": "function_call", "id": "fc_own", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "id": "out_own", "call_id": "c", "output": "fine"}
    first = await created(http, gateway, input=[{**user("a"), "id": "msg_own"}, user("b"), call, output])
    url = f"{gateway}/v1/responses/{first['id']}/input_items"
    async with http.get(url, headers={"Authorization": "Bearer k"}) as response:
        ids = [item["id"] for item in (await response.json())["data"]]
    await created(http, gateway, input=[*map(reference, ids), user("c")])

    assert (ids[0], *ids[2:]) == ("msg_own", "fc_own", "out_own")
    assert len(set(ids)) == 4
    contents = fake.last.body["contents"]
    assert [part.get("text") for part in contents[0]["parts"]] == ["a", "b"]
    assert contents[2]["parts"][0]["functionResponse"]["response"] == {"output": "fine"}
    second = await created(http, gateway, input="d", previous_response_id=first["id"])
    url = f"{gateway}/v1/responses/{second['id']}/input_items"
    async with http.get(url, headers={"Authorization": "Bearer k"}) as response:
        ids = [item["id"] for item in (await response.json())["data"]]
    await created(http, gateway, input=[*map(reference, ids), user("c")])
    assert texts(fake)[-2][0] == "model"


@pytest.mark.row("G4")
async def test_g04_an_item_that_is_not_there_is_named(
    http: aiohttp.ClientSession, gateway: str, fake: Fake
) -> None:
    kept = await created(http, gateway, input="x")
    unkept = await created(http, gateway, input="x", store=False)
    theirs = await created(http, gateway, key="other", input="x")
    gone = await created(http, gateway, input="x")
    async with http.delete(
        f"{gateway}/v1/responses/{gone['id']}", headers={"Authorization": "Bearer k"}
    ) as response:
        assert response.status == 200
    calls = fake.calls
    unknown = [response["output"][0]["id"] for response in (unkept, theirs, gone)]
    for name in [*unknown, "", "x" * 1000, f"item_{'a' * 24}_0", kept["id"]]:
        for items in ([reference(name)], [user("x"), reference(kept["output"][0]["id"]), reference(name)]):
            status, answer = await post(http, gateway, input=items)
            error = answer["error"]
            assert (status, error["param"]) == (400, f"input[{len(items) - 1}].id")
            assert f"Item with id '{name[:80]}' not found" in error["message"]
    assert fake.calls == calls


@pytest.mark.row("G4")
async def test_g04_a_search_of_the_gateways_is_referred_to(
    http: aiohttp.ClientSession, gateway: str, fake: Fake
) -> None:
    first = await created(http, gateway, input="weather?", tools=[{"type": "web_search"}])
    kinds = [item["type"] for item in first["output"]]
    names = [reference(item["id"]) for item in first["output"]]
    bare = [{"id": item["id"]} for item in first["output"]]
    sent = []
    for items in (first["output"], names, bare):
        await created(http, gateway, input=[user("weather?"), *items, user("and?")])
        sent.append(fake.last.body["contents"])

    assert "web_search_call" in kinds
    assert sent[0] == sent[1] == sent[2]


@pytest.mark.row("G4")
async def test_g04_an_item_outlives_one_of_two_responses_that_have_it(
    http: aiohttp.ClientSession, gateway: str, fake: Fake
) -> None:
    first = await created(http, gateway, input="x")
    name = first["output"][0]["id"]
    second = await created(http, gateway, input=[reference(name), user("y")])
    for response in (first, second):
        assert (await post(http, gateway, input=[reference(name), user("z")]))[0] == 200
        url = f"{gateway}/v1/responses/{response['id']}"
        async with http.delete(url, headers={"Authorization": "Bearer k"}) as deleted:
            assert deleted.status == 200


@pytest.mark.row("G4")
async def test_g04_a_large_item_is_not_stored_twice(
    http: aiohttp.ClientSession, gateway: str, fake: Fake
) -> None:
    big = "[[echo]] " + "word " * 20_000
    first = await created(http, gateway, input=[{**user(big), "id": "big"}])
    answer = await created(
        http, gateway, input=[reference("big"), reference(first["output"][0]["id"]), user("y")]
    )

    assert answer["status"] == "completed"
    assert texts(fake)[0] == ("user", big)


@pytest.mark.row("G4")
async def test_g04_what_is_referred_to_is_bounded(
    serve: Serve, http: aiohttp.ClientSession, fake: Fake
) -> None:
    base = await serve("limits: {body: 150000}", fake.url)
    await created(http, base, input=[{**user("a" * 100_000), "id": "big"}])

    assert (await post(http, base, input=[reference("big")]))[0] == 200
    status, answer = await post(http, base, input=[reference("big"), reference("big")])
    assert (status, answer["error"]["param"]) == (400, "input")
    status, answer = await post(http, base, input=[{"id": f"item_{i:024x}_0"} for i in range(1001)])
    assert (status, answer["error"]["param"]) == (400, "input")
    status, answer = await post(http, base, input=[{"id": f"item_{i:024x}_0"} for i in range(1000)])
    assert (status, answer["error"]["param"]) == (400, "input[0].id")
    status, answer = await post(http, base, input=[{"id": "a"}] * 10_001)
    assert (status, answer["error"]["code"]) == (400, "array_above_max_length")


@pytest.mark.row("G4")
async def test_g04_references_outlive_a_restart(
    serve: Serve, http: aiohttp.ClientSession, fake: Fake, tmp_path: Path
) -> None:
    config = f"state: {{file: {tmp_path}/state.db}}"
    first = await created(http, await serve(config, fake.url), input=[{**user("a"), "id": "mine"}])
    await serve.stop()
    base = await serve(config, fake.url)

    await created(http, base, input=[reference("mine"), reference(first["output"][0]["id"]), user("b")])
    assert [role for role, _ in texts(fake)] == ["user", "model", "user"]


@needs_redis
@pytest.mark.row("G4")
async def test_g04_references_are_shared_by_machines(
    serve: Serve, http: aiohttp.ClientSession, fake: Fake, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.redis._BUDGET", 5.0)
    config = f"state: {{redis: '{redis_url}'}}"
    here, there = await serve(config, fake.url), await serve(config, fake.url)
    first = await created(http, here, input=[{**user("a"), "id": "mine"}])

    await created(http, there, input=[reference("mine"), reference(first["output"][0]["id"]), user("b")])
    assert [role for role, _ in texts(fake)] == ["user", "model", "user"]


@pytest.mark.row("G4")
async def test_g04_tokens_of_items_that_are_referred_to_are_counted(
    http: aiohttp.ClientSession, gateway: str, fake: Fake
) -> None:
    first = await created(http, gateway, input="hello")
    body = {"model": F3, "input": [user("hello"), reference(first["output"][0]["id"]), user("again")]}
    async with http.post(
        f"{gateway}/v1/responses/input_tokens", json=body, headers={"Authorization": "Bearer k"}
    ) as response:
        assert response.status == 200


@pytest.mark.row("G3")
@pytest.mark.row("G20")
async def test_g20_calls_of_known_tools_are_read_from_the_store(gateway: str, fake: Fake) -> None:
    tools: Any = [{"type": "namespace", "name": "crm", "description": "d", "tools": [TOOL]}]
    async with openai.AsyncOpenAI(base_url=gateway + "/v1", api_key="k", max_retries=0) as client:
        answer: Any = await client.responses.create(model=F3, input="Use get_weather in Oslo.", tools=tools)
        (call,) = [item for item in answer.output if item.type == "function_call"]
        output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "SUNNY-42"}
        final = await client.responses.create(
            model=F3, previous_response_id=answer.id, input=[output], tools=tools
        )

    assert (call.namespace, call.name) == ("crm", "get_weather")
    assert final.output_text == "The tool said: SUNNY-42"
    call_part = fake.last.body["contents"][1]["parts"][0]
    assert call_part["functionCall"]["name"] == "crm__get_weather"
    assert call_part["thoughtSignature"] != "skip_thought_signature_validator"


def test_input_items_get_ids_that_name_their_response() -> None:
    name = unique("resp_")
    said = [
        {"role": "user"},
        {"id": "a"},
        {"id": ""},
        {"id": ["x"]},
        "text",
        {"type": "item_reference", "id": "b"},
    ]
    items, ids = input_items(
        msgspec.Raw(msgspec.json.encode(said)), name, {"b": {"id": "b", "type": "message"}}
    )

    digits = name.removeprefix("resp_")
    assert ids == ["a", "b"]
    assert [item["id"] for item in items if isinstance(item, dict)] == [
        f"item_{digits}_0", "a", f"item_{digits}_2", f"item_{digits}_3", "b",
    ]  # fmt: skip
    assert items[5] == {"id": "b", "type": "message"}
    assert input_items(None, name, {}) == ([], [])


async def test_ids_of_another_type_are_no_mistake_of_ours(http: aiohttp.ClientSession, gateway: str) -> None:
    for name in (True, 5, ["x"], {"x": 1}, None):
        first = await created(http, gateway, input=[{**user("a"), "id": name}, user("b")])
        url = f"{gateway}/v1/responses/{first['id']}/input_items"
        async with http.get(url, headers={"Authorization": "Bearer k"}) as response:
            ids = [item["id"] for item in (await response.json())["data"]]
        assert (await post(http, gateway, input=[*map(reference, ids)]))[0] == 200
