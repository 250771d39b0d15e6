"""Batches by Google's SDK and by REST: their life, their answers, and refusals."""

import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest
from google import genai

from gateway.emulator.server import build_fake
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


async def created(url: str, requests: Any, **batch: Any) -> Any:
    body = {"batch": {"inputConfig": {"requests": {"requests": requests}}, **batch}}
    return (await call("POST", f"{url}/v1beta/models/{M}:batchGenerateContent", body))[1]


async def lines_file(http: aiohttp.ClientSession, url: str, data: bytes) -> str:
    start = {"X-Goog-Upload-Command": "start", "X-Goog-Upload-Protocol": "resumable", "x-goog-api-key": "k"}
    meta = {"file": {"mimeType": "application/jsonl"}}
    async with http.post(f"{url}/upload/v1beta/files", json=meta, headers=start) as response:
        upload = response.headers["X-Goog-Upload-URL"]
    end = {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0"}
    async with http.post(upload, data=io.BytesIO(data), headers=end) as response:
        return str((await response.json())["file"]["name"])


async def test_one_that_runs_is_cancelled_with_an_error_for_each_request(fake: Fake) -> None:
    job = await created(fake.url, [{"request": ASKED, "metadata": {"key": "a"}}])
    await call("GET", f"{fake.url}/v1beta/{job['name']}")
    await call("POST", f"{fake.url}/v1beta/{job['name']}:cancel")

    _, done = await call("GET", f"{fake.url}/v1beta/{job['name']}")
    assert (done["done"], done["metadata"]["state"]) == (True, "BATCH_STATE_SUCCEEDED")
    assert done["metadata"]["batchStats"] == {"requestCount": "1", "failedRequestCount": "1"}
    answers = done["response"]["inlinedResponses"]["inlinedResponses"]
    assert answers == [{"metadata": {"key": "a"}, "error": {"code": 1}}]


@pytest.mark.parametrize("state", ["failed", "expired"])
async def test_a_command_in_a_request_ends_the_whole_batch(fake: Fake, state: str) -> None:
    asked = {"contents": [{"role": "user", "parts": [{"text": f"[[batch {state}]]"}]}]}
    job = await created(fake.url, [{"request": ASKED}, {"request": asked}])
    await call("GET", f"{fake.url}/v1beta/{job['name']}")
    _, done = await call("GET", f"{fake.url}/v1beta/{job['name']}")

    assert (done["done"], done["metadata"]["state"]) == (True, f"BATCH_STATE_{state.upper()}")
    assert done["error"]["message"]
    assert "response" not in done
    assert "output" not in done["metadata"]


async def test_a_batch_takes_its_time(aiohttp_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("gateway.emulator.server.time", lambda: now[0])
    url = str((await aiohttp_server(build_fake(batch_seconds=6))).make_url("")).rstrip("/")
    job = await created(url, [{"request": ASKED}])
    states = []
    for now[0] in (0, 1.9, 2, 5.9, 6, 7):
        _, read = await call("GET", f"{url}/v1beta/{job['name']}")
        _, listed = await call("GET", f"{url}/v1beta/batches")
        assert listed["operations"][0]["metadata"]["state"] == read["metadata"]["state"]
        states.append(read["metadata"]["state"].rpartition("_")[2])
    assert states == ["PENDING", "PENDING", "RUNNING", "RUNNING", "SUCCEEDED", "SUCCEEDED"]


async def test_each_line_that_cannot_be_decoded_is_named(http: aiohttp.ClientSession, fake: Fake) -> None:
    good = json.dumps({"key": "0", "request": ASKED})
    nested = json.dumps({"key": "1", "request": {**ASKED, "thinking_config": {}}})
    name = await lines_file(http, fake.url, "\n".join([good, "", nested, '{"key": ', "[]"]).encode())
    body = {"batch": {"inputConfig": {"fileName": name}}}

    status, answer = await call("POST", f"{fake.url}/v1beta/models/{M}:batchGenerateContent", body)
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    first, second, third = answer["error"]["message"].splitlines()
    column = nested.index("thinking_config") + len("thinking_config") + 2
    assert first == f"Error on line 3: invalid JSON, near column {column}: no such field: 'thinking_config'"
    assert second.startswith("Error on line 4: invalid JSON, near column 9:")
    assert third.startswith("Error on line 5: invalid JSON, near column 1:")


async def test_a_file_beside_inlined_requests_is_refused(fake: Fake) -> None:
    config = {"fileName": "files/x", "requests": {"requests": [{"request": ASKED}]}}
    path = f"{fake.url}/v1beta/models/{M}:batchGenerateContent"
    status, answer = await call("POST", path, {"batch": {"inputConfig": config}})
    assert status == 400
    assert answer["error"]["message"] == (
        "Invalid value at 'batch.input_config' (oneof), oneof field 'source' is already set. "
        "Cannot set 'requests'"
    )


async def test_more_than_twenty_megabytes_inline_are_refused(http: aiohttp.ClientSession, fake: Fake) -> None:
    large = {"contents": [{"role": "user", "parts": [{"text": "x" * (20 << 20)}]}]}
    path = f"{fake.url}/v1beta/models/{M}:batchGenerateContent"
    inline = {"batch": {"inputConfig": {"requests": {"requests": [{"request": large}]}}}}
    data, headers = io.BytesIO(json.dumps(inline).encode()), {"x-goog-api-key": "k"}
    async with http.post(path, data=data, headers=headers) as response:
        assert response.status == 400
        answer = await response.json()
    assert answer["error"]["message"] == "Request payload size exceeds the limit: 20971520 bytes."

    line = json.dumps({"key": "0", "request": large}).encode()
    config = {"fileName": await lines_file(http, fake.url, line)}
    status, _ = await call("POST", path, {"batch": {"inputConfig": config}})
    assert status == 200
