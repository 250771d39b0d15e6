"""The emulator as Vertex AI, asked by google-genai and by hand: what it refuses, and in which words."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from google import genai
from google.genai import types

from gateway.emulator.server import VERTEX
from tests.support.servers import Fake

EXPRESS = "/v1/publishers/google/models/"
CLOUD = "/v1/projects/p-1/locations/{}/publishers/google/models/"
HI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


@pytest.fixture
async def client(fake: Fake) -> AsyncIterator[Any]:
    options = types.HttpOptions(base_url=fake.url, timeout=20_000)
    client = genai.Client(vertexai=True, api_key="AQ.x", http_options=options)
    yield client
    await client.aio.aclose()


async def post(fake: Fake, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.post(fake.url + path, json=body, headers={"x-goog-api-key": "AQ.x", **headers}) as response,
    ):
        return response.status, await response.json()


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # google-genai's own
async def test_googles_sdk_is_served(client: Any) -> None:
    models = client.aio.models
    answer = await models.generate_content(model="gemini-2.5-flash", contents="hello")
    assert answer.text
    assert (answer.usage_metadata.traffic_type, answer.create_time.year > 2025) == ("ON_DEMAND", True)
    stream = await models.generate_content_stream(model="gemini-2.5-flash", contents="hello")
    assert "".join([chunk.text or "" async for chunk in stream]) == answer.text
    count = await models.count_tokens(
        model="gemini-2.5-flash", contents="hello", config={"system_instruction": "be brief"}
    )
    assert count.total_tokens > 1
    for model, texts in (
        ("gemini-embedding-2", ["a"]),
        ("gemini-embedding-001", ["a", "b"]),
        ("text-embedding-005", ["a", "b"]),
    ):
        answer = await models.embed_content(
            model=model, contents=texts, config={"output_dimensionality": 128}
        )
        assert [len(entry.values) for entry in answer.embeddings] == [128] * len(texts)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"store": True}, 'Unknown name "store": Cannot find field.'),
        ({"toolConfig": {"includeServerSideToolInvocations": True}}, "at 'tool_config'"),
        ({"generation_config": {"enable_enhanced_civic_answers": True}}, "at 'generation_config'"),
        ({"tools": [{"fileSearch": {}}]}, "at 'tools'"),
        ({"contents": [{"role": "user", "parts": [{"toolCall": {}}]}]}, "at 'contents.parts'"),
        ({"contents": [{"parts": [{"text": "hi"}]}]}, "Please use a valid role: user, model."),
        (
            {"contents": [{"role": "invalid_role", "parts": [{"text": "hi"}]}]},
            "Please use a valid role: user, model.",
        ),
        (
            {
                "contents": [
                    {
                        "role": "user",
                        "parts": [{"functionResponse": {"name": "f", "response": {}, "id": "a"}}],
                    }
                ]
            },
            "Unknown name \"id\" at 'contents[0].parts[0].function_response'",
        ),
        (
            {"generationConfig": {"temperature": 1000}},
            "it has a temperature value of 1000 but the supported range",
        ),
    ],
)
async def test_what_vertex_refuses(fake: Fake, change: dict[str, Any], words: str) -> None:
    status, answer = await post(fake, f"{EXPRESS}gemini-2.5-flash:generateContent", {**HI, **change})

    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert words in answer["error"]["message"]


async def test_credentials(fake: Fake) -> None:
    cloud = CLOUD.format("global") + "gemini-2.5-flash:generateContent"

    status, answer = await post(fake, cloud, HI)
    assert (status, answer["error"]["details"][0]["reason"]) == (401, "CREDENTIALS_MISSING")
    assert answer["error"]["message"].startswith("API keys are not supported by this API.")
    status, answer = await post(fake, cloud, HI, Authorization="Bearer ya29.old")
    assert (status, answer["error"]["details"][0]["reason"]) == (401, "ACCESS_TOKEN_EXPIRED")
    status, answer = await post(
        fake, f"{EXPRESS}gemini-2.5-flash:generateContent", HI, **{"x-goog-api-key": "bad"}
    )
    assert (status, answer["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")
    assert answer["error"]["details"][0]["metadata"]["service"] == "aiplatform.googleapis.com"


async def test_models_and_regions(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    service: Any = fake._app[VERTEX].tokens
    monkeypatch.setattr(service, "is_valid", lambda _: True)

    async def status(location: str, model: str) -> int:
        path = f"{CLOUD.format(location)}{model}:generateContent"
        return (await post(fake, path, HI, Authorization="Bearer t"))[0]

    assert await status("us-central1", "gemini-2.5-flash") == 200
    assert await status("us-central1", "gemini-3.5-flash") == 404
    assert await status("global", "gemini-3.5-flash") == 200
    path = f"{CLOUD.format('us-central1').replace('p-1', 'forbidden')}gemini-2.5-flash:generateContent"
    code, answer = await post(fake, path, HI, Authorization="Bearer t")
    assert (code, answer["error"]["details"][0]["reason"]) == (403, "IAM_PERMISSION_DENIED")
    code, answer = await post(fake, f"{EXPRESS}gemini-none:countTokens", HI)
    assert code == 404
    assert answer["error"]["message"].startswith(
        "Publisher Model `publishers/google/models/gemini-none` was not found"
    )


async def test_measures_know_their_own_fields_alone(fake: Fake) -> None:
    model = f"{EXPRESS}gemini-embedding-2"
    for verb, body in (
        ("countTokens", {"generateContentRequest": HI}),
        ("embedContent", {"content": HI["contents"][0], "taskType": "CLUSTERING"}),
        ("batchEmbedContents", {"requests": [{"model": "models/x", "content": HI["contents"][0]}]}),
    ):
        status, answer = await post(fake, f"{model}:{verb}", body)
        assert (status, "Unknown name" in answer["error"]["message"]) == (400, True)


async def test_a_spent_quota_names_neither_quota_nor_delay(fake: Fake) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "[[429]]"}]}]}

    status, answer = await post(fake, f"{EXPRESS}gemini-2.5-flash:generateContent", body)

    assert (status, answer["error"].keys()) == (429, {"code", "message", "status"})
