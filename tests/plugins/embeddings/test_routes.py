"""Embeddings and model lists over HTTP, against an upstream that says what it is told."""

import base64
import json
import math
import struct
from typing import Any

import aiohttp
import aiohttp.web
import openai
import pytest
import tiktoken

from gateway.errors import ConfigError
from tests.support.servers import RawUpstream, Serve, ok, whole


@pytest.fixture
async def base(serve: Serve, raw_upstream: RawUpstream) -> str:
    return await serve("models: {aliases: {gpt-4o: gemini-2.5-pro}}", raw_upstream.url)


def vectors(*values: list[float], **fields: Any) -> list[bytes | None]:
    return ok({"embeddings": [{"values": v} for v in values], **fields})


def sent(upstream: RawUpstream) -> list[Any]:
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in upstream.requests]


async def ask(http: aiohttp.ClientSession, base: str, **body: Any) -> tuple[int, Any, Any]:
    async with http.post(f"{base}/v1/embeddings", json=body) as response:
        return response.status, response.headers, await response.json()


async def test_the_sdk_gets_floats_through_its_base64(base: str, raw_upstream: RawUpstream) -> None:
    raw_upstream.scripts = [vectors([0.6, 0.8], usageMetadata={"promptTokenCount": 3})]
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="k", max_retries=0) as sdk:
        result = await sdk.embeddings.create(model="gemini-embedding-2", input="hi")

    assert result.data[0].embedding == pytest.approx([0.6, 0.8])
    assert result.usage.total_tokens == 3
    assert b"/v1beta/models/gemini-embedding-2:batchEmbedContents" in raw_upstream.requests[0]


@pytest.mark.row("T10")
@pytest.mark.parametrize(
    ("model", "sizes_"),
    [("gemini-embedding-001", [5]), ("gemini-embedding-2", [1] * 5), ("gemini-embedding-2-preview", [1] * 5)],
)
async def test_t10_a_model_that_joins_its_inputs_gets_one_in_a_call(
    http: aiohttp.ClientSession, serve: Serve, aiohttp_server: Any, model: str, sizes_: list[int]
) -> None:
    """An upstream that makes one vector of all inputs of a call, unless the model is the old one."""
    sizes: list[int] = []

    async def embed(request: aiohttp.web.Request) -> aiohttp.web.Response:
        requests = (await request.json())["requests"]
        sizes.append(len(requests))
        texts = [float(entry["content"]["parts"][0]["text"]) for entry in requests]
        joined = texts if model.endswith("-001") else [sum(texts)]
        usage = {"promptTokenCount": len(texts)}
        return aiohttp.web.json_response(
            {"embeddings": [{"values": [text, 0.0]} for text in joined], "usageMetadata": usage}
        )

    app = aiohttp.web.Application()
    app.router.add_post("/{path:.*}", embed)
    server = await aiohttp_server(app)
    base = await serve("plugins: {embeddings: {unit_length: false}}", f"http://127.0.0.1:{server.port}")
    status, _, body = await ask(http, base, model=model, input=["1", "2", "3", "4", "5"])

    assert status == 200, body
    assert [entry["embedding"][0] for entry in body["data"]] == [1, 2, 3, 4, 5]
    assert body["usage"]["prompt_tokens"] == 5
    assert sizes == sizes_


async def test_a_hundred_and_fifty_texts_are_two_calls_in_order(
    http: aiohttp.ClientSession, serve: Serve, aiohttp_server: Any
) -> None:
    sizes: list[int] = []

    async def embed(request: aiohttp.web.Request) -> aiohttp.web.Response:
        requests = (await request.json())["requests"]
        sizes.append(len(requests))
        values = [{"values": [float(entry["content"]["parts"][0]["text"]), 0.0]} for entry in requests]
        return aiohttp.web.json_response({"embeddings": values})

    app = aiohttp.web.Application()
    app.router.add_post("/{path:.*}", embed)
    server = await aiohttp_server(app)
    base = await serve("", str(server.make_url("")).rstrip("/"))
    texts = [str(i) for i in range(1, 151)]
    _, _, result = await ask(http, base, model="gemini-embedding-001", input=texts, encoding_format="float")

    assert sorted(sizes) == [50, 100]
    assert [entry["index"] for entry in result["data"]] == list(range(150))
    assert all(entry["embedding"] == [1.0, 0.0] for entry in result["data"])
    assert result["usage"]["prompt_tokens"] == 150


async def test_a_shortened_vector_gets_length_one(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [vectors([0.5677 / math.sqrt(768)] * 768)]
    _, _, result = await ask(http, base, model="gemini-embedding-001", input="x", dimensions=768)

    assert math.hypot(*result["data"][0]["embedding"]) == pytest.approx(1, abs=1e-6)
    assert sent(raw_upstream)[0]["requests"][0]["outputDimensionality"] == 768


async def test_a_vector_of_zeros_stays(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [vectors([0.0, 0.0])]
    _, _, result = await ask(http, base, input="abcdefgh", encoding_format="base64")

    assert struct.unpack("<2f", base64.b64decode(result["data"][0]["embedding"])) == (0, 0)
    assert result["usage"] == {"prompt_tokens": 2, "total_tokens": 2}


async def test_names_of_others_become_the_default(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [vectors([1.0])]
    _, headers, result = await ask(
        http, base, model="text-embedding-3-small", input=["x"], task_type="RETRIEVAL_QUERY", user="u",
        extra_body={"google": {"title": "t"}},
    )  # fmt: skip

    request = sent(raw_upstream)[0]["requests"][0]
    assert (result["model"], headers["x-gateway-notes"]) == ("gemini-embedding-001", "user,model")
    assert (request["model"], request["taskType"], request["title"]) == (
        "models/gemini-embedding-001", "RETRIEVAL_QUERY", "t",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "param", "message"),
    [
        ([[1, 2, 3]], "input", "check_embedding_ctx_length=False"), ([1, 2], "input", "Token arrays"),
        ([], "input", "empty array"), ("", "input", "empty"), (["a", ""], "input[1]", "empty"),
        (["x"] * 2049, "input", "maximum length 2048"), (5, "input", "expected"), ([{}], "input[0]", "expected"),
    ],
)  # fmt: skip
async def test_an_unusable_input_is_a_400(
    http: aiohttp.ClientSession, base: str, value: Any, param: str, message: str
) -> None:
    status, _, result = await ask(http, base, model="gemini-embedding-001", input=value)

    assert (status, result["error"]["param"]) == (400, param)
    assert message in result["error"]["message"]


async def test_fewer_vectors_than_texts_are_a_502(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [vectors([1.0])]

    assert (await ask(http, base, input=["a", "b"]))[0] == 502


async def test_a_passing_failure_is_tried_again(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    overloaded = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    raw_upstream.scripts = [
        whole(json.dumps(overloaded).encode(), b"503 Service Unavailable"),
        vectors([1.0]),
    ]

    assert (await ask(http, base, input="a"))[0] == 200


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    """A vocabulary of four tokens, known to tiktoken like its own."""
    ranks = {b"a": 0, b"b": 1, b"ab": 2, b"\xc3": 3}
    encoding = tiktoken.Encoding("tiny", pat_str=".", mergeable_ranks=ranks, special_tokens={"<|end|>": 4})
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "tiny", encoding)
    return "plugins: {embeddings: {tokens: tiny}}"


@pytest.mark.parametrize(
    ("value", "texts"),
    [([2, 0], ["aba"]), ([[0], [1, 2]], ["a", "bab"]), (["x", [0, 1]], ["x", "ab"]), ([[3]], ["\ufffd"])],
)
async def test_token_arrays_are_read_where_the_operator_allows_it(
    http: aiohttp.ClientSession,
    serve: Serve,
    raw_upstream: RawUpstream,
    tiny: str,
    value: Any,
    texts: list[str],
) -> None:
    raw_upstream.scripts = [vectors(*([1.0] for _ in texts))]
    base = await serve(tiny, raw_upstream.url)
    status, _, _ = await ask(http, base, input=value)

    assert status == 200
    asked = sent(raw_upstream)[0]["requests"]
    assert [entry["content"]["parts"][0]["text"] for entry in asked] == texts


@pytest.mark.parametrize(
    ("value", "param", "message"),
    [
        ([[0], [99]], "input[1]", "not a token of tiny"), ([-1], "input", "not a token"), ([2**40], "input", "not a token"),
        ([[]], "input", "empty"), (["x", 1], "input", "Token arrays"),
    ],
)  # fmt: skip
async def test_tokens_that_are_none_are_named(
    http: aiohttp.ClientSession, serve: Serve, tiny: str, value: Any, param: str, message: str
) -> None:
    status, _, answer = await ask(http, await serve(tiny), input=value)

    assert (status, answer["error"]["param"]) == (400, param)
    assert message in answer["error"]["message"]


async def test_an_unknown_vocabulary_is_a_fault_of_the_configuration(serve: Serve) -> None:
    with pytest.raises(ConfigError, match=r"test.yaml:2:.*Unknown encoding no_such"):
        await serve("plugins: {embeddings: {tokens: no_such}}")


async def test_vectors_are_not_scaled_when_the_option_is_off(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [vectors([0.25, 0.25])]
    base = await serve("plugins: {embeddings: {unit_length: false}}", raw_upstream.url)
    _, _, result = await ask(http, base, input="x", encoding_format="float")

    assert result["data"][0]["embedding"] == [0.25, 0.25]
