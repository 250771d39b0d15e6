"""`/v1/messages/batches` of Anthropic's clients, in front of the emulator."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import pytest

from tests.support.batches import FLASH, BatchClient, BatchTeam, batch_team, job, said
from tests.support.servers import Serve

PATH = "/v1/messages/batches"
HEADERS = {"anthropic-version": "2023-06-01"}


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


def entry(custom_id: str, text: str = "1+1?", **more: Any) -> dict[str, Any]:
    params = {
        "model": FLASH, "max_tokens": 50, "messages": [{"role": "user", "content": text}], **more
    }  # fmt: skip
    return {"custom_id": custom_id, "params": params}


async def create(client: BatchClient, *entries: Any) -> tuple[int, Any]:
    return await client.call("POST", PATH, json={"requests": list(entries)}, headers=HEADERS)


async def started(client: BatchClient, *entries: Any) -> str:
    status, batch = await create(client, *entries)
    assert (status, batch.get("processing_status")) == (200, "in_progress"), batch
    return str(batch["id"])


async def ended(client: BatchClient, batch: str, seconds: float = 30.0) -> Any:
    async with asyncio.timeout(seconds):
        while True:
            status, shown = await client.call("GET", f"{PATH}/{batch}", headers=HEADERS)
            assert status == 200, shown
            if shown["processing_status"] == "ended":
                return shown
            await asyncio.sleep(0.02)


async def results(client: BatchClient, url: str) -> list[Any]:
    async with (
        aiohttp.ClientSession(headers=client.headers | HEADERS) as http,
        http.get(url) as response,
    ):
        assert (response.status, response.content_type) == (200, "application/x-jsonl")
        return [json.loads(line) for line in (await response.read()).splitlines()]


async def test_requests_are_a_batch_of_googles_and_their_results_messages(team: BatchTeam) -> None:
    client = await team.begin()
    batch = await started(client, entry("b", "one"), entry("a", "two", temperature=0.5))
    done = await ended(client, batch)

    ((_, path, key, sent),) = team.calls(":batchGenerateContent")
    assert (path, key) == (f"/v1beta/models/{FLASH}:batchGenerateContent", "a")
    first, second = [each["request"] for each in sent["batch"]["inputConfig"]["requests"]["requests"]]
    assert first["generationConfig"]["maxOutputTokens"] == 50
    assert second["generationConfig"]["temperature"] == 0.5
    assert done["request_counts"] == {
        "processing": 0, "succeeded": 2, "errored": 0, "canceled": 0, "expired": 0
    }  # fmt: skip
    assert (done["type"], done["archived_at"], done["cancel_initiated_at"]) == ("message_batch", None, None)
    assert done["ended_at"] >= done["created_at"]
    assert done["results_url"] == f"{client.base}{PATH}/{batch}/results"
    lines = await results(client, done["results_url"])
    assert [line["custom_id"] for line in lines] == ["b", "a"]
    messages = [line["result"]["message"] for line in lines]
    assert [message["content"][0]["text"] for message in messages] == ["You said: one", "You said: two"]
    assert {message["stop_reason"] for message in messages} == {"end_turn"}
    assert all(message["usage"]["output_tokens"] for message in messages)


async def test_a_fault_is_the_result_of_its_request_alone(team: BatchTeam) -> None:
    client = await team.begin()
    bad = {"custom_id": "bad", "params": {"model": FLASH, "messages": []}}
    done = await ended(client, await started(client, bad, entry("good"), entry("late", "[[500]]")))

    assert done["request_counts"]["succeeded"] == 1
    assert done["request_counts"]["errored"] == 2
    first, second, third = await results(client, done["results_url"])
    assert (first["custom_id"], first["result"]["type"]) == ("bad", "errored")
    assert first["result"]["error"]["type"] == "error"
    assert first["result"]["error"]["error"]["type"] == "invalid_request_error"
    assert second["result"]["type"] == "succeeded"
    assert third["result"]["error"]["error"]["type"] == "api_error"


async def test_fields_that_are_not_honoured_are_shown(team: BatchTeam) -> None:
    client = await team.begin()
    batch = await started(client, entry("a", stream=True), entry("b"))
    await ended(client, batch)

    client.headers |= HEADERS
    assert await client.notes(f"{PATH}/{batch}") == {"stream"}


async def test_when_no_request_can_be_asked_for_the_batch_has_ended(team: BatchTeam) -> None:
    client = await team.begin()
    done = await ended(client, await started(client, {"custom_id": "a", "params": {}}))

    assert done["request_counts"]["errored"] == 1
    assert [line["result"]["type"] for line in await results(client, done["results_url"])] == ["errored"]
    assert team.calls(":batch") == []


@pytest.mark.parametrize(
    ("requests", "where"),
    [
        ([], "requests"),
        ([{"custom_id": "a"}], "requests.0.params"),
        ([entry("a"), entry("a")], "requests.1.custom_id"),
        ([entry("a" * 65)], "requests.0.custom_id"),
        ([entry("a b")], "requests.0.custom_id"),
        ([{"custom_id": "a", "params": [1]}], "requests.0.params"),
    ],
)  # fmt: skip
async def test_a_batch_of_another_form_is_refused_in_anthropics_words(
    team: BatchTeam, requests: Any, where: str
) -> None:
    client = await team.begin()
    status, answer = await create(client, *requests)

    assert (status, answer["type"], answer["error"]["type"]) == (400, "error", "invalid_request_error")
    assert answer["error"]["message"].startswith(f"{where}: "), answer


async def test_one_that_waits_is_canceled_and_then_deleted(team: BatchTeam) -> None:
    client = await team.begin()
    team.answers[":batchGenerateContent"] = job("PENDING")
    team.answers["batches/x"] = job("RUNNING")
    batch = await started(client, entry("a"), entry("b"))
    status, answer = await client.call("DELETE", f"{PATH}/{batch}", headers=HEADERS)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert (await client.call("GET", f"{PATH}/{batch}/results", headers=HEADERS))[0] == 400

    async def answering() -> None:
        while True:
            team.answers["batches/x:cancel"] = aiohttp.web.json_response({})
            team.answers["v1beta/batches/x"] = job("CANCELLED")
            await asyncio.sleep(0.01)

    task = asyncio.create_task(answering())
    status, canceling = await client.call("POST", f"{PATH}/{batch}/cancel", headers=HEADERS)
    assert (status, canceling["processing_status"]) == (200, "canceling")
    assert canceling["cancel_initiated_at"] is not None
    done = await ended(client, batch)
    task.cancel()
    assert done["request_counts"]["canceled"] == 2
    assert [line["result"] for line in await results(client, done["results_url"])] == [
        {"type": "canceled"}
    ] * 2
    assert (await client.call("POST", f"{PATH}/{batch}/cancel", headers=HEADERS))[0] == 400
    deleted = await client.call("DELETE", f"{PATH}/{batch}", headers=HEADERS)
    assert deleted == (200, {"id": batch, "type": "message_batch_deleted"})
    assert (await client.call("GET", f"{PATH}/{batch}", headers=HEADERS))[0] == 404


async def test_batches_are_listed_for_their_client_alone(team: BatchTeam) -> None:
    other = team.team.issue()
    client = await team.begin()
    first, second, third = [await started(client, entry("a")) for _ in range(3)]
    await client.started([{**entry("x"), "method": "POST", "url": "/v1/chat/completions",
                           "body": entry("x")["params"]}])  # fmt: skip

    async def page(query: str) -> tuple[list[str], bool]:
        status, answer = await client.call("GET", f"{PATH}?{query}", headers=HEADERS)
        assert status == 200, answer
        assert (answer["first_id"], answer["last_id"]) == (answer["data"][0]["id"], answer["data"][-1]["id"])
        return [each["id"] for each in answer["data"]], answer["has_more"]

    assert await page("limit=2") == ([third, second], True)
    assert await page(f"limit=2&after_id={second}") == ([first], False)
    assert await page(f"limit=1&before_id={first}") == ([second], True)
    assert (await client.call("GET", f"{PATH}?limit=0", headers=HEADERS))[0] == 400
    both = f"{PATH}?before_id={first}&after_id={first}"
    assert (await client.call("GET", both, headers=HEADERS))[0] == 400
    stranger = team.of(other)
    assert (await stranger.call("GET", PATH, headers=HEADERS))[1]["data"] == []
    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/results"), ("DELETE", "")):
        status, answer = await stranger.call(method, f"{PATH}/{first}{path}", headers=HEADERS)
        assert (status, answer["error"]["type"]) == (404, "not_found_error")


async def test_a_budget_that_cannot_pay_refuses_a_batch(team: BatchTeam) -> None:
    key = team.team.issue(dollars={"day": 0.0001})
    client = await team.begin(key=key)
    status, answer = await create(client, *(entry(str(i), max_tokens=5000) for i in range(10)))

    assert (status, answer["type"]) == (429, "error")
    assert (team.calls(":batch"), list((team.folder.parent / "batches").glob("*.input"))) == ([], [])


async def test_a_batch_costs_half(team: BatchTeam) -> None:
    client = await team.begin()
    team.answers[":batchGenerateContent"] = job("PENDING")
    team.answers["batches/x"] = job("SUCCEEDED", said("0", prompt=1000, completion=100))
    await ended(client, await started(client, entry("a")))

    (row,) = await team.team.settled()
    assert (row.surface, row.prompt, row.completion) == ("batch", 1000, 100)
    prices = {"input": 0.3, "output": 2.5}
    assert row.micros == (1000 * prices["input"] + 100 * prices["output"]) / 2


async def test_anthropics_sdk_reads_the_results_with_a_key_of_its_own(team: BatchTeam) -> None:
    await team.begin()

    def use() -> Any:
        sdk = anthropic.Anthropic(base_url=team.team.base, api_key="AIza-own", max_retries=0)
        requests: Any = [entry("a", "hi"), entry("b", "ho")]
        batch = sdk.messages.batches.create(requests=requests)
        for _ in range(100):
            batch = sdk.messages.batches.retrieve(batch.id)
            if batch.processing_status == "ended":
                break
        lines = list(sdk.messages.batches.results(batch.id))
        listed = [each.id for each in sdk.messages.batches.list(limit=1)]
        assert sdk.messages.batches.delete(batch.id).type == "message_batch_deleted"
        return batch, lines, listed

    batch, lines, listed = await asyncio.to_thread(use)
    assert (listed, batch.request_counts.succeeded) == ([batch.id], 2)
    assert [line.custom_id for line in lines] == ["a", "b"]
    assert lines[0].result.message.content[0].text == "You said: hi"
    assert {key for _, path, key, _ in team.seen if "batch" in path} == {"own"}
