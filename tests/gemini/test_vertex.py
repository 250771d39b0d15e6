"""Calls in Vertex AI's words. google-genai's own converters are the measure of what it sends."""

import json
from typing import Any

import msgspec
import pytest
from google.genai import types
from google.genai._api_client import BaseApiClient
from google.genai.models import (
    _CountTokensParameters_to_vertex,
    _EmbedContentParametersPrivate_to_vertex,
    _GenerateContentParameters_to_vertex,
)

from gateway.gemini.vertex import gemini_answer, is_served, needs_gemini, vertex_call, without_place
from gateway.gemini.wire import GenerateContentRequest

PATH = "models/gemini-2.5-flash:generateContent"


def sent(body: dict[str, Any], path: str = PATH, *, own: bool = False) -> Any:
    return json.loads(vertex_call(path, json.dumps(body).encode(), own=own).body)


@pytest.fixture(scope="module")
def sdk() -> BaseApiClient:
    return BaseApiClient(vertexai=True, api_key="AQ.x")


def by_sdk(converted: dict[str, Any]) -> Any:
    converted.pop("_url", None)
    return json.loads(json.dumps(converted, default=str))


@pytest.mark.parametrize(
    ("path", "served"),
    [
        ("models/m:generateContent", True),
        ("models/m:streamGenerateContent?alt=sse", True),
        ("models/m:countTokens", True),
        ("models/m:batchEmbedContents", True),
        ("models/m:batchGenerateContent", False),
        ("models/m", False),
        ("models?pageSize=1000", False),
        ("tunedModels/m:generateContent", False),
        ("cachedContents", False),
        ("interactions", False),
    ],
)
def test_methods_that_vertex_has(path: str, served: bool) -> None:
    assert is_served(path) is served


def test_an_own_request_without_differences_is_sent_as_it_is() -> None:
    body = b'{"contents": [ {"parts":[{"text":"store \\"store\\" toolCall"}],"role":"user"}]}'

    call = vertex_call("models/m:streamGenerateContent?alt=sse", body)

    assert call.path == "publishers/google/models/m:streamGenerateContent?alt=sse"
    assert call.body is body


@pytest.mark.parametrize("own", [True, False])
def test_what_vertex_refuses_is_left_out(own: bool) -> None:
    body: Any = {
        "contents": [
            {"role": "user", "parts": [{"text": "a"}]},
            {"role": "model", "parts": [{"toolCall": {"id": "1"}}, {"toolResponse": {"id": "1"}}]},
            {"role": "model", "parts": [{"toolCall": {"id": "1"}}, {"text": "b", "thoughtSignature": "c"}]},
        ],
        "store": False,
        "toolConfig": {"includeServerSideToolInvocations": True, "functionCallingConfig": {"mode": "AUTO"}},
        "generationConfig": {"enableEnhancedCivicAnswers": True, "temperature": 1.5},
    }

    assert sent(body, own=own) == {
        "contents": [body["contents"][0], {"role": "model", "parts": [{"text": "b", "thoughtSignature": "c"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
        "generationConfig": {"temperature": 1.5},
    }  # fmt: skip


def test_a_clients_spelling_makes_no_difference() -> None:
    body = {
        "contents": {"parts": [{"function_response": {"name": "f", "response": {}, "will_continue": True,
                                                      "parts": [{"media_processing": {}, "inlineData": {}}]}},
                               {"text": "a", "part_metadata": {}}]},
        "tool_config": {"include_server_side_tool_invocations": True},
        "generation_config": {"enable_enhanced_civic_answers": True},
    }  # fmt: skip

    assert sent(body) == {
        "contents": {"role": "user", "parts": [
            {"functionResponse": {"name": "f", "response": {}, "parts": [{"inlineData": {}}]}}, {"text": "a"}]},
        "toolConfig": {},
        "generationConfig": {},
    }  # fmt: skip


@pytest.mark.parametrize(("model", "kept"), [("gemini-2.5-flash", False), ("gemini-3.5-flash", True)])
@pytest.mark.parametrize("own", [True, False])
def test_ids_of_calls_are_for_new_models(model: str, kept: bool, own: bool) -> None:
    call, result = (
        {"name": "f", "args": {"id": 1}, "id": "a"},
        {"name": "f", "response": {"id": 2}, "id": "a"},
    )
    body = {
        "contents": [
            {"role": "model", "parts": [{"functionCall": call}]},
            {"role": "user", "parts": [{"functionResponse": result}]},
        ]
    }

    request = sent(body, f"models/{model}:generateContent", own=own)

    shown = [content["parts"][0] for content in request["contents"]]
    assert ("id" in shown[0]["functionCall"], "id" in shown[1]["functionResponse"]) == (kept, kept)
    assert (shown[0]["functionCall"]["args"], shown[1]["functionResponse"]["response"]) == (
        {"id": 1},
        {"id": 2},
    )


def test_values_of_wrong_kinds_are_left_to_google() -> None:
    body = {"contents": [1, {"parts": "a"}, {"parts": [None]}], "toolConfig": 1, "generationConfig": []}

    assert sent(body)["contents"] == [1, {"role": "user", "parts": "a"}, {"role": "user", "parts": []}][:2]
    for data in (b"[]", b"{", b"\xff", b"1"):
        with pytest.raises((ValueError, msgspec.DecodeError)):
            vertex_call(PATH, data, own=False)


def test_a_count_is_the_sdks(sdk: BaseApiClient) -> None:
    contents: Any = [{"role": "user", "parts": [{"text": "a"}]}]
    system = {"parts": [{"text": "b"}], "role": "user"}
    tools = [{"functionDeclarations": [{"name": "f"}]}]
    config: Any = {"system_instruction": system, "tools": tools}
    parameters = types._CountTokensParameters(model="m", contents=contents, config=config)
    inner = {"model": "models/m", "contents": contents, "systemInstruction": system, "tools": tools}

    by_gateway = sent({"generateContentRequest": inner}, "models/m:countTokens")

    expected = by_sdk(_CountTokensParameters_to_vertex(sdk, parameters, None, parameters))
    assert by_gateway.keys() == expected.keys()
    assert by_gateway["contents"] == contents
    assert sent({"contents": contents}, "models/m:countTokens") == {"contents": contents}


@pytest.mark.parametrize(
    ("model", "texts", "method", "kind"),
    [
        ("gemini-embedding-2", ["a"], "embedContent", "EMBED_CONTENT"),
        ("gemini-embedding-001", ["a", "b"], "batchEmbedContents", "BATCH_EMBED_CONTENTS"),
        ("text-embedding-005", ["a", "b"], "predict", "PREDICT"),
    ],
)
def test_embeddings_are_the_sdks(
    sdk: BaseApiClient, model: str, texts: list[str], method: str, kind: str
) -> None:
    contents = [{"role": "user", "parts": [{"text": text}]} for text in texts]
    requests = [
        {"model": f"models/{model}", "content": {"parts": [{"text": text}]}, "taskType": "CLUSTERING",
         "outputDimensionality": 8, "title": "t"}
        for text in texts
    ]  # fmt: skip
    config = types.EmbedContentConfig(task_type="CLUSTERING", output_dimensionality=8, title="t")
    fields: dict[str, Any] = {"contents": texts, "content": contents[0], "batch_contents": contents}
    name = {"PREDICT": "contents", "EMBED_CONTENT": "content"}.get(kind, "batch_contents")
    given = {name: fields[name]}
    parameters = types._EmbedContentParametersPrivate(
        model=model, embedding_api_type=types.EmbeddingApiType(kind), config=config, **given
    )

    call = vertex_call(f"models/{model}:batchEmbedContents", json.dumps({"requests": requests}).encode())

    assert call.path == f"publishers/google/models/{model}:{method}"
    expected = json.dumps(
        _EmbedContentParametersPrivate_to_vertex(sdk, parameters, None, parameters), default=vars
    )
    by_gateway = json.loads(call.body)
    for name in by_gateway:
        assert f'"{name}"' in expected
    assert '"task_type"' in expected if kind == "PREDICT" else '"embedContentConfig"' in expected
    if kind == "PREDICT":
        assert by_gateway["instances"] == [
            {"content": text, "task_type": "CLUSTERING", "title": "t"} for text in texts
        ]
        assert by_gateway["parameters"] == {"outputDimensionality": 8}
    elif kind == "EMBED_CONTENT":
        own = {"taskType": "CLUSTERING", "title": "t", "outputDimensionality": 8}
        assert by_gateway == {"content": contents[0], "embedContentConfig": own}


def test_embedding_answers_are_the_gemini_apis() -> None:
    path = "models/m:batchEmbedContents"
    predicted = b'{"predictions":[{"embeddings":{"values":[1,2],"statistics":{"token_count":3.0}}},{"embeddings":{"values":[3]}}]}'
    embedded = b'{"embedding":{"values":[1.5]},"usageMetadata":{"promptTokenCount":4}}'
    batch = b'{"embeddings":[{"values":[1]}]}'

    assert json.loads(gemini_answer(path, predicted)) == {
        "embeddings": [{"values": [1, 2]}, {"values": [3]}], "usageMetadata": {"promptTokenCount": 3},
    }  # fmt: skip
    assert json.loads(gemini_answer(path, embedded)) == {
        "embeddings": [{"values": [1.5]}], "usageMetadata": {"promptTokenCount": 4},
    }  # fmt: skip
    assert gemini_answer(path, batch) is batch
    assert gemini_answer("models/m:countTokens", b"x") == b"x"
    with pytest.raises(msgspec.DecodeError):
        gemini_answer(path, b"[")


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({}, False),
        ({"tools": [{"googleSearch": {}}, {"urlContext": {}}]}, False),
        ({"tools": [{"fileSearch": {"fileSearchStoreNames": ["a"]}}]}, True),
        ({"cachedContent": "cachedContents/a"}, True),
        ({"contents": [{"parts": [{"fileData": {"fileUri": "gs://a/b.png"}}]}]}, False),
        ({"contents": [{"parts": [{"fileData": {"fileUri": "https://www.youtube.com/watch?v=a"}}]}]}, False),
        ({"contents": [{"parts": [{"text": "a"}, {"fileData": {
            "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a"}}]}]}, True),
    ],
)  # fmt: skip
def test_what_belongs_to_the_gemini_api(fields: dict[str, Any], needs: bool) -> None:
    request = msgspec.convert({"contents": [], **fields}, GenerateContentRequest)

    assert needs_gemini(request) is needs


def test_messages_do_not_name_the_project() -> None:
    message = (
        "Publisher Model `projects/my.org:p-1/locations/us-east1/publishers/google/models/x` was not found"
    )

    assert without_place(message) == "Publisher Model `publishers/google/models/x` was not found"
    denied = "denied on resource '//aiplatform.googleapis.com/projects/p/locations/l/publishers/google/models/x' (or"
    assert without_place(denied) == "denied on resource 'publishers/google/models/x' (or"


def test_requests_of_the_sdk_for_vertex_pass_unchanged(sdk: BaseApiClient) -> None:
    """What google-genai writes for Vertex AI, sent on the gateway's native surface, loses nothing."""
    config: Any = {
        "system_instruction": "s", "temperature": 1, "labels": {"a": "b"}, "safety_settings": [],
        "tools": [{"google_search": {}}], "response_mime_type": "application/json",
        "thinking_config": {"thinking_level": "LOW"},
    }  # fmt: skip
    parameters = types._GenerateContentParameters(model="m", contents="hi", config=config)
    body = by_sdk(_GenerateContentParameters_to_vertex(sdk, parameters, None, parameters))

    assert sent(body) == body
