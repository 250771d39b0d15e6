"""Batches of Gemini's own API with issued keys: the project, the client, the cost, and Google's SDK."""

import asyncio
import json
from math import ceil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from google import genai

from gateway.errors import BadRequest, Forbidden
from gateway.exchange.calls.cost import ModelOutput
from gateway.gemini.wire import GenerateContentResponse
from gateway.plugins.native.batches import (
    BatchReader,
    OpenRow,
    batch_cost,
    checked_requests,
    open_row,
    tier_factor,
)
from gateway.store.ledger.tables import attempt, open_engine
from tests.support.pinned import M, Pinned, contents
from tests.support.servers import Fake, Serve

PATH = f"/v1beta/models/{M}:batchGenerateContent"
ASKED = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
OUTPUT = ModelOutput(100)
NOTHING = GenerateContentResponse()


@pytest.fixture
async def team(serve: Serve, tmp_path: Path, fake: Fake) -> Pinned:
    return Pinned(serve, tmp_path, fake)


def batch(*requests: Any, **more: Any) -> dict[str, Any]:
    entries = [{"request": request, "metadata": {"key": str(i)}} for i, request in enumerate(requests)]
    return {"batch": {"inputConfig": {"requests": {"requests": entries}}, **more}}


async def test_a_batch_is_read_where_it_was_made_and_only_by_its_client(team: Pinned) -> None:
    mine, other = team.issue(), team.issue()
    await team.start()
    jobs = [(await team.call(mine, "POST", PATH, batch(ASKED)))[1]["name"] for _ in range(2)]
    await team.start()
    for name in jobs:
        for method, path in (("GET", name), ("POST", f"{name}:cancel"), ("DELETE", name)):
            status, answer, _ = await team.call(other, method, f"/v1beta/{path}")
            assert (status, answer["error"]["status"]) == (404, "NOT_FOUND")
        states = [(await team.call(mine, "GET", f"/v1/{name}"))[1] for _ in range(4)]
        assert [state["metadata"]["state"].rpartition("_")[2] for state in states] == [
            "RUNNING", "SUCCEEDED", "SUCCEEDED", "SUCCEEDED",
        ]  # fmt: skip
        (answer,) = states[-1]["response"]["inlinedResponses"]["inlinedResponses"]
        assert answer["metadata"] == {"key": "0"}
        assert (await team.call(mine, "DELETE", f"/v1beta/{name}"))[0] == 200
        assert (await team.call(mine, "GET", f"/v1beta/{name}"))[0] == 404


async def test_one_that_waits_is_cancelled(team: Pinned) -> None:
    mine = team.issue()
    await team.start()
    name = (await team.call(mine, "POST", PATH, batch(ASKED)))[1]["name"]
    assert (await team.call(mine, "POST", f"/v1beta/{name}:cancel"))[:2] == (200, {})
    assert (await team.call(mine, "GET", f"/v1beta/{name}"))[1]["metadata"][
        "state"
    ] == "BATCH_STATE_CANCELLED"


async def test_a_batch_goes_to_the_project_of_its_files(team: Pinned) -> None:
    mine, other = team.issue(), team.issue()
    await team.start()
    for name in [await team.upload(mine) for _ in range(2)]:
        job = (await team.call(mine, "POST", PATH, batch(ASKED, {"contents": contents(name)})))[1]["name"]
        await team.call(mine, "GET", f"/v1beta/{job}")
        _, done, _ = await team.call(mine, "GET", f"/v1beta/{job}")
        answers = done["response"]["inlinedResponses"]["inlinedResponses"]
        assert ["error" in answer for answer in answers] == [False, False]
    others = batch({"contents": contents(await team.upload(mine))})
    status, answer, _ = await team.call(other, "POST", PATH, others)
    assert (status, answer["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"batch": {"inputConfig": {"fileName": "files/abc"}}}, 403, "inputConfig.fileName`: the lines"),
        ({"batch": {"input_config": {"file_name": "files/abc"}}}, 403, "inputConfig.fileName`: the lines"),
        (batch(ASKED, webhookConfig={"uris": ["https://example.com"]}), 403, "`batch.webhookConfig`: webhooks"),
        (batch(ASKED, webhook_config={}), 403, "`batch.webhookConfig`: webhooks"),
        (batch({**ASKED, "tools": [{"fileSearch": {}}]}), 403, "fileSearch"),
        (batch({**ASKED, "model": "models/gemini-3.1-pro-preview"}), 400, "the body names"),
        (batch(ASKED, model="models/gemini-3.1-pro-preview"), 400, "the body names"),
        (batch({**ASKED, "cachedContent": "cachedContents/x"}), 404, "cachedContents/x does not exist"),
    ],
)  # fmt: skip
async def test_what_is_of_a_whole_project_or_cannot_be_checked_is_refused(
    team: Pinned, fake: Fake, body: Any, status: int, words: str
) -> None:
    mine = team.issue()
    await team.start()
    code, answer, _ = await team.call(mine, "POST", PATH, body)
    assert (code, words in answer["error"]["message"]) == (status, True)
    assert not fake.calls


async def test_the_models_of_a_key_are_those_of_its_batches(team: Pinned) -> None:
    mine = team.issue(models=["gemini-3*"])
    await team.start()
    status, answer, _ = await team.call(mine, "POST", PATH, batch(ASKED))
    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")


async def test_a_budget_that_a_batch_may_exceed_refuses_it(team: Pinned) -> None:
    limited = {**ASKED, "generationConfig": {"maxOutputTokens": 100}}
    mine = team.issue(dollars={"day": 0.01})
    await team.start()
    status, answer, _ = await team.call(mine, "POST", PATH, batch(*[limited] * 1000))
    assert (status, answer["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert (await team.call(mine, "POST", PATH, batch(limited)))[0] == 200


def test_a_batch_may_cost_what_its_requests_may_cost_together() -> None:
    small = {**ASKED, "generationConfig": {"maxOutputTokens": 10}}
    estimate = batch_cost("batchGenerateContent", [small, ASKED], OUTPUT)
    assert (estimate.most.completion, estimate.prompt) == (110, 0)
    huge = {"contents": [{"parts": [{"text": "x" * 2**21}]}]}
    assert batch_cost("batchGenerateContent", [huge] * 3, OUTPUT).most.prompt == 3 * 2**21
    embed = batch_cost("asyncBatchEmbedContent", [{"content": {"parts": [{"text": "x"}]}}], OUTPUT)
    assert (embed.most.completion, embed.most.prompt > 0) == (0, True)


def test_requests_are_found_in_either_spelling() -> None:
    assert checked_requests(batch(ASKED, 1), M) == [ASKED]
    snake = {"batch": {"input_config": {"requests": {"requests": [{"request": ASKED}, None]}}}}
    assert checked_requests(snake, M) == [ASKED]
    assert checked_requests({"batch": [1]}, M) == []
    with pytest.raises(BadRequest):
        checked_requests(batch({"model": 3}), M)
    with pytest.raises(Forbidden):
        checked_requests({"batch": {"inputConfig": {"file_name": ""}}}, M)


def test_a_dearer_tier_of_one_request_counts_for_all() -> None:
    assert tier_factor([ASKED]) == 1
    assert tier_factor([ASKED, {**ASKED, "serviceTier": "priority"}]) > 1
    assert tier_factor([]) == 1


async def test_ba14_batches_with_a_google_header_are_googles_own(team: Pinned) -> None:
    mine = team.issue()
    await team.start()
    name = (await team.call(mine, "POST", PATH, batch(ASKED)))[1]["name"]
    status, answer, _ = await team.call(mine, "GET", f"/v1/{name}")
    assert (status, answer["name"]) == (200, name)
    status, answer, _ = await team.call(mine, "POST", "/v1/batches", {"input_file_id": "file-x"})
    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")
    _, made, _ = await team.call("AIza-own", "POST", PATH, batch(ASKED))
    status, answer, _ = await team.call("AIza-own", "GET", "/v1/batches")
    assert (status, [entry["name"] for entry in answer["operations"]]) == (200, [made["name"]])


@pytest.mark.filterwarnings("ignore:.*experimental")
async def test_googles_sdk_makes_batches_with_an_issued_key(team: Pinned) -> None:
    mine = team.issue()
    await team.start()

    def use() -> Any:
        client = genai.Client(api_key=mine, http_options={"base_url": team.base})
        source: Any = [{"contents": "hi", "metadata": {"n": "1"}, "config": {"max_output_tokens": 100}}]
        job = client.batches.create(model=M, src=source, config={"display_name": "d"})
        done = [client.batches.get(name=str(job.name)) for _ in range(2)][-1]
        client.batches.delete(name=str(job.name))
        texts: Any = {"inlined_requests": {"contents": ["a", "b"], "config": {"output_dimensionality": 128}}}
        embedding = client.batches.create_embeddings(model="gemini-embedding-001", src=texts)
        client.batches.cancel(name=str(embedding.name))
        return done, client.batches.get(name=str(embedding.name))

    done, embedding = await asyncio.to_thread(use)
    (answer,) = done.dest.inlined_responses
    assert (done.display_name, answer.response.text, answer.metadata) == ("d", "You said: hi", {"n": "1"})
    assert embedding.state.name == "JOB_STATE_CANCELLED"


def rows(folder: Path) -> list[Any]:
    engine = open_engine(f"{folder}/ledger.db", None)
    with engine.connect() as connection:
        result = list(connection.execute(sa.select(attempt).order_by(attempt.c.at)).all())
    engine.dispose()
    return result


async def test_a_batch_is_charged_half_of_what_its_answers_cost_once_they_are_read(
    team: Pinned, tmp_path: Path
) -> None:
    limited = {**ASKED, "generationConfig": {"maxOutputTokens": 100}}
    mine = team.issue(dollars={"day": 1})
    await team.start()
    name = (await team.call(mine, "POST", PATH, batch(*[limited] * 10, {"contents": []})))[1]["name"]
    (row,) = rows(tmp_path)
    assert (row.surface, row.model, row.ended) == ("batch", M, None)
    most = batch_cost("batchGenerateContent", [limited] * 10 + [{"contents": []}], ModelOutput(65536)).most
    reserved = ceil((most.prompt * 0.3 + most.completion * 2.5) / 2)
    assert json.loads(row.reserved)[0][3] == reserved

    await team.call(mine, "GET", f"/v1beta/{name}")
    await team.start()
    for _ in range(2):
        await team.call(mine, "GET", f"/v1beta/{name}")
    _, done, _ = await team.call(mine, "GET", f"/v1beta/{name}")
    answers = done["response"]["inlinedResponses"]["inlinedResponses"]
    usages = [answer["response"]["usageMetadata"] for answer in answers if "response" in answer]
    assert len(usages) == 10
    row = rows(tmp_path)[0]
    assert (row.outcome, row.exact) == ("ok", True)
    assert row.prompt == sum(usage["promptTokenCount"] for usage in usages)
    assert row.completion == sum(usage["candidatesTokenCount"] for usage in usages)
    each = ceil((usages[0]["promptTokenCount"] * 0.3 + usages[0]["candidatesTokenCount"] * 2.5) / 2)
    assert row.micros == 10 * each


async def test_one_that_is_cancelled_or_refused_costs_nothing(team: Pinned, tmp_path: Path) -> None:
    mine = team.issue(dollars={"day": 1})
    await team.start()
    name = (await team.call(mine, "POST", PATH, batch(ASKED)))[1]["name"]
    await team.call(mine, "POST", f"/v1beta/{name}:cancel")
    await team.call(mine, "GET", f"/v1beta/{name}")
    assert (await team.call(mine, "POST", PATH, batch()))[0] == 400
    settled = [(row.outcome, row.micros) for row in rows(tmp_path) if row.surface == "batch"]
    assert settled == [("ok", 0), ("error", 0)]


def test_what_is_no_batch_has_no_answers() -> None:
    for data, expected in (
        (b"", None),
        (b"{", None),
        (b'{"done":1}', None),
        (b'{"metadata":{"state":"BATCH_STATE_RUNNING"}}', None),
        (b'{"done":true,"error":{"code":13}}', []),
        (b'{"done":true,"response":{"inlinedResponses":{"inlinedResponses":[{"error":{}}]}}}', [NOTHING]),
        (b'{"done":true,"response":{"inlinedResponses":{"inlinedResponses":[{"response":3}]}}}', [NOTHING]),
    ):
        reader = BatchReader(lambda _: None)
        reader.feed(data)
        assert reader.responses() == expected


def test_a_row_is_written_as_text() -> None:
    assert open_row("") is None
    assert open_row("a 1.5 gemini-x") == OpenRow("a", 1.5, "gemini-x")
