"""The Responses surface over HTTP, on the emulator."""

from typing import Any

import aiohttp
import openai
import pytest
from pydantic import BaseModel

from tests.support.servers import Fake

F3 = "gemini-3-flash-preview"
TOOL: Any = {"type": "function", "name": "get_weather", "strict": False,
             "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}  # fmt: skip


def sdk(base: str, key: str = "k") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=base + "/v1", api_key=key, max_retries=0)


async def post(http: aiohttp.ClientSession, base: str, path: str = "", **body: Any) -> tuple[int, Any]:
    async with http.post(f"{base}/v1/responses{path}", json=body) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_loop_by_previous_response(gateway: str, fake: Fake, streamed: bool) -> None:
    async with sdk(gateway) as client:
        turn: dict[str, Any] = {"input": "Use get_weather in Oslo, in 2 steps."}
        previous = None
        for _ in range(2):
            fields: Any = {"model": F3, "tools": [TOOL], "previous_response_id": previous, **turn}
            if streamed:
                async with client.responses.stream(**fields) as events:
                    async for _event in events:
                        pass
                    answer: Any = await events.get_final_response()
            else:
                answer = await client.responses.create(**fields)
            (call,) = [item for item in answer.output if item.type == "function_call"]
            turn = {
                "input": [{"type": "function_call_output", "call_id": call.call_id, "output": "SUNNY-42"}]
            }
            previous = answer.id
        final = await client.responses.create(model=F3, tools=[TOOL], previous_response_id=previous, **turn)

    assert final.output_text == "The tool said: SUNNY-42"
    signatures = [
        p.get("thoughtSignature")
        for c in fake.last.body["contents"]
        for p in c["parts"]
        if "functionCall" in p
    ]
    assert None not in signatures
    assert "skip_thought_signature_validator" not in signatures


async def test_signatures_travel_in_encrypted_content(gateway: str, fake: Fake) -> None:
    async with sdk(gateway) as client:
        question: Any = {"role": "user", "content": "Use get_weather in Oslo."}
        answer = await client.responses.create(
            model=F3, tools=[TOOL], input=[question], store=False, include=["reasoning.encrypted_content"]
        )
    async with sdk(gateway, "another-key") as client:
        items: Any = [question, *(item.model_dump() for item in answer.output),
                      {"type": "function_call_output", "call_id": answer.output[-1].call_id, "output": "x"}]  # type: ignore[union-attr]  # fmt: skip
        await client.responses.create(model=F3, tools=[TOOL], input=items, store=False)

    sent = fake.last.body["contents"][1]["parts"][0]["thoughtSignature"]
    assert sent != "skip_thought_signature_validator"


class Person(BaseModel):
    name: str
    age: int


async def test_parse_and_reasoning(gateway: str) -> None:
    async with sdk(gateway) as client:
        parsed = await client.responses.parse(model=F3, input="Ada is 36.", text_format=Person)
        thought = await client.responses.create(
            model=F3, input="?", reasoning={"effort": "low", "summary": "auto"}
        )
        searched = await client.responses.create(model=F3, input="?", tools=[{"type": "web_search"}])

    assert parsed.output_parsed == Person(name="Ada", age=36)
    assert thought.output[0].type == "reasoning"
    assert thought.usage is not None
    assert thought.usage.output_tokens_details.reasoning_tokens > 0
    assert "web_search_call" in [item.type for item in searched.output]
    (message,) = [item for item in searched.output if item.type == "message"]
    assert message.content[0].annotations  # type: ignore[union-attr]


async def test_a_stored_response_is_read_and_deleted_by_its_own_key_alone(
    http: aiohttp.ClientSession, gateway: str
) -> None:
    _, created = await post(http, gateway, model=F3, input="hi", metadata={"a": "b"})
    url = f"{gateway}/v1/responses/{created['id']}"
    async with http.get(url) as response:
        assert await response.json() == created
    async with http.get(f"{url}/input_items") as response:
        assert (await response.json())["data"][0]["content"][0]["text"] == "hi"
    async with http.get(url, headers={"Authorization": "Bearer other"}) as response:
        assert response.status == 404
    async with http.post(f"{url}/cancel") as response:
        assert response.status == 400
    async with http.delete(url) as response:
        assert (await response.json())["deleted"] is True
    async with http.get(url) as response:
        assert response.status == 404
    assert created["metadata"] == {"a": "b"}


async def test_store_false_stores_nothing(http: aiohttp.ClientSession, gateway: str) -> None:
    _, created = await post(http, gateway, model=F3, input="hi", store=False)
    async with http.get(f"{gateway}/v1/responses/{created['id']}") as response:
        assert response.status == 404


async def test_an_unknown_previous_response_is_a_400(http: aiohttp.ClientSession, gateway: str) -> None:
    status, answer = await post(http, gateway, model=F3, input="x", previous_response_id="resp_x")

    assert (status, answer["error"]["code"], answer["error"]["param"]) == (
        400, "previous_response_not_found", "previous_response_id",
    )  # fmt: skip


async def test_two_outputs_are_one_content(http: aiohttp.ClientSession, gateway: str, fake: Fake) -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    items = [{"role": "user", "content": "x"}, {**call, "call_id": "a"}, {**call, "call_id": "b"},
             *({"type": "function_call_output", "call_id": i, "output": i} for i in "ba")]  # fmt: skip
    assert (await post(http, gateway, model="gemini-2.5-flash", input=items))[0] == 200

    parts = fake.last.body["contents"][2]["parts"]
    assert [part["functionResponse"]["response"]["output"] for part in parts] == ["a", "b"]


async def test_a_mistake_names_the_item(http: aiohttp.ClientSession, gateway: str) -> None:
    items = [{"role": "user", "content": [{"type": "input_image", "image_url": "ftp://x"}]}]
    status, answer = await post(http, gateway, model=F3, instructions="s", input=items)

    assert (status, answer["error"]["param"]) == (400, "input[0].content[0].image_url")


async def test_notes_name_the_clients_fields_and_history_its_id(
    http: aiohttp.ClientSession, gateway: str
) -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    _, first = await post(http, gateway, model=F3, input=[{"role": "user", "content": "hi"}, call])
    body = {
        "model": F3, "input": "and?", "previous_response_id": first["id"], "tools": [TOOL, {"type": "mcp"}], "user": "u",
    }  # fmt: skip
    async with http.post(f"{gateway}/v1/responses", json=body) as response:
        notes = response.headers["x-gateway-notes"].split(",")

    assert set(notes) == {
        "tools[1].type=mcp",
        "user",
        "previous_response_id",
        "previous_response_id.thought_signature",
    }


async def test_tokens_are_counted(http: aiohttp.ClientSession, gateway: str) -> None:
    status, answer = await post(http, gateway, "/input_tokens", model=F3, input="hello there")

    assert (status, answer["object"]) == (200, "response.input_tokens")
    assert answer["input_tokens"] > 0


async def test_a_failure_midstream_is_an_event(http: aiohttp.ClientSession, gateway: str) -> None:
    body = {"model": F3, "input": "[[error midstream]]", "stream": True}
    async with http.post(f"{gateway}/v1/responses", json=body) as response:
        text = await response.text()

    assert "event: response.failed" in text
    assert text.rstrip().rpartition("data: ")[2].startswith('{"type":"error"')


WRONG: list[Any] = [True, 5, 2.5, "text", [], ["x"], {}, {"x": 1}, None, [None], [{"type": "message"}]]


async def test_no_wrong_type_is_our_fault(http: aiohttp.ClientSession, gateway: str) -> None:
    from gateway.plugins.responses.wire import Item, ResponseRequest

    for field in ResponseRequest.__struct_fields__:
        for value in WRONG:
            status, answer = await post(
                http, gateway, **{"model": F3, "input": "x", field: value, "stream": False}
            )
            assert status in (200, 400), (field, value, answer)
    for field in Item.__struct_fields__:
        for kind in ("message", "function_call", "function_call_output", "reasoning", "custom_tool_call"):
            for value in WRONG:
                item = {"type": kind, "role": "user", "name": "f", "call_id": "c", field: value}
                status, answer = await post(http, gateway, model=F3, input=[item])
                assert status in (200, 400), (field, value, answer)
