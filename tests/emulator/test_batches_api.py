"""Batches by Google's SDK and by REST: their life, their answers, and refusals."""

import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest
from google import genai

from tests.support.emulator import call
from tests.support.servers import Fake

M = "gemini-2.5-flash"
ASKED = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


@pytest.mark.parametrize("through", ["fake", "gateway"])
@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_googles_sdk_reads_the_answers_of_inlined_requests(
    fake: Fake, gateway: str, through: str, version: str
) -> None:
    def use() -> Any:
        base = gateway if through == "gateway" else fake.url
        client = genai.Client(api_key="k", http_options={"base_url": base, "api_version": version})
        requests: Any = [{**ASKED, "metadata": {"n": "1"}}, {"contents": [{"role": "model", "parts": []}]}]
        job = client.batches.create(model=M, src=requests, config={"display_name": "d"})
        states = [job.state, *(client.batches.get(name=str(job.name)).state for _ in range(2))]
        done = client.batches.get(name=str(job.name))
        listed = [entry.name for entry in client.batches.list(config={"page_size": 1})]
        client.batches.delete(name=str(job.name))
        return done, states, listed, list(client.batches.list())

    done, states, listed, left = await asyncio.to_thread(use)
    assert [state.name for state in states] == [
        "JOB_STATE_PENDING",
        "JOB_STATE_RUNNING",
        "JOB_STATE_SUCCEEDED",
    ]
    assert (done.model, done.display_name, listed, left) == (f"models/{M}", "d", [done.name], [])
    first, second = done.dest.inlined_responses
    assert (first.response.text, first.metadata) == ("You said: hi", {"n": "1"})
    assert (second.response, second.error.code) == (None, 3)


async def test_googles_sdk_downloads_the_answers_of_a_file(fake: Fake, gateway: str) -> None:
    def use() -> Any:
        client = genai.Client(api_key="k", http_options={"base_url": gateway})
        lines = b"".join(json.dumps({"key": str(n), "request": ASKED}).encode() + b"\n" for n in range(2))
        source = client.files.upload(file=io.BytesIO(lines), config={"mime_type": "application/jsonl"})
        job = client.batches.create(model=M, src=str(source.name))
        client.batches.get(name=str(job.name))
        done = client.batches.get(name=str(job.name))
        return done, client.files.download(file=str(done.dest and done.dest.file_name))

    done, data = await asyncio.to_thread(use)
    answers = [json.loads(line) for line in data.splitlines()]
    assert done.dest.inlined_responses is None
    assert [answer["key"] for answer in answers] == ["0", "1"]
    assert answers[1]["response"]["candidates"][0]["content"]["parts"] == [{"text": "You said: hi"}]


@pytest.mark.filterwarnings("ignore:.*experimental")
async def test_googles_sdk_makes_a_batch_of_embeddings(fake: Fake) -> None:
    def use() -> Any:
        client = genai.Client(api_key="k", http_options={"base_url": fake.url})
        source: Any = {"inlined_requests": {"contents": ["a", "b"], "config": {"output_dimensionality": 128}}}
        job = client.batches.create_embeddings(model="gemini-embedding-001", src=source)
        return [client.batches.get(name=str(job.name)) for _ in range(2)][-1]

    done = await asyncio.to_thread(use)
    responses = done.dest.inlined_embed_content_responses
    assert [len(entry.response.embedding.values) for entry in responses] == [128, 128]


async def test_one_that_is_cancelled_stays_so(fake: Fake) -> None:
    body = {"batch": {"input_config": {"requests": {"requests": [{"request": ASKED}]}}}}
    _, job = await call("POST", f"{fake.url}/v1beta/models/{M}:batchGenerateContent", body)
    assert job["metadata"]["batchStats"] == {"requestCount": "1", "pendingRequestCount": "1"}
    assert (await call("POST", f"{fake.url}/v1beta/{job['name']}:cancel"))[1] == {}

    for _ in range(3):
        _, read = await call("GET", f"{fake.url}/v1beta/{job['name']}")
        assert (read["metadata"]["state"], read["done"], "response" in read) == (
            "BATCH_STATE_CANCELLED",
            True,
            False,
        )


async def test_the_output_is_in_the_response_and_in_the_metadata(fake: Fake) -> None:
    body = {"batch": {"inputConfig": {"requests": {"requests": [{"request": ASKED}]}}}}
    _, job = await call("POST", f"{fake.url}/v1/models/{M}:batchGenerateContent", body)
    await call("GET", f"{fake.url}/v1/{job['name']}")
    _, done = await call("GET", f"{fake.url}/v1/{job['name']}")

    assert done["response"]["inlinedResponses"] == done["metadata"]["output"]["inlinedResponses"]
    assert done["metadata"]["batchStats"] == {"requestCount": "1", "successfulRequestCount": "1"}
    assert not [name for name in done if name.startswith(" ")]


@pytest.mark.parametrize(
    ("model", "batch", "status"),
    [
        (M, {}, 400), (M, {"inputConfig": {"requests": {"requests": []}}}, 400), (M, {"unknown": 1}, 400),
        (M, {"inputConfig": {"fileName": "files/none"}}, 403), ("none", {}, 404), ("gemini-embedding-001", {}, 404),
        (M, {"inputConfig": {"requests": {"requests": [{"request": {"contents": [{"parts": [{"txt": ""}]}]}}]}}}, 400),
    ],
)  # fmt: skip
async def test_it_refuses_what_google_refuses(fake: Fake, model: str, batch: Any, status: int) -> None:
    code, _ = await call("POST", f"{fake.url}/v1beta/models/{model}:batchGenerateContent", {"batch": batch})
    assert code == status


async def test_another_keys_batch_is_not_found(http: aiohttp.ClientSession, fake: Fake) -> None:
    body = {"batch": {"inputConfig": {"requests": {"requests": [{"request": ASKED}]}}}}
    _, job = await call("POST", f"{fake.url}/v1/models/{M}:batchGenerateContent", body)

    for method, path in (("GET", job["name"]), ("DELETE", job["name"]), ("POST", f"{job['name']}:cancel")):
        for key, status in (("other", 404), ("", 403)):
            headers = {"x-goog-api-key": key}
            async with http.request(method, f"{fake.url}/v1/{path}", headers=headers) as response:
                assert response.status == status
