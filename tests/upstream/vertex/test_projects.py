"""Calls of projects on Vertex AI, through a gateway: credentials, regions, fields, and what it does not serve."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.config.sections import ProjectConfig, UpstreamConfig
from gateway.config.vertex import VertexConfig
from gateway.emulator.models import MODELS
from gateway.observability.request_log import RequestLog
from gateway.upstream.client import GeminiClient
from tests.support.servers import Serve
from tests.support.vertex import VertexTeam, account, vertex_team

MODEL = "gemini-2.5-flash"
EXPRESS = "/v1/publishers/google/models/"


def region(name: str) -> str:
    return f"/v1/projects/cloud-1/locations/{name}/publishers/google/models/"


@pytest.fixture
async def vertex(serve: Serve, tmp_path: Path, aiohttp_server: Any) -> VertexTeam:
    return await vertex_team(serve, tmp_path, aiohttp_server)


def user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("stream", [False, True])
async def test_chat_goes_to_the_place_of_the_project_with_its_credentials(
    vertex: VertexTeam, stream: bool
) -> None:
    key = vertex.issue()
    await vertex.start("express us-east1")

    for _ in range(2):
        status, _, answer = await vertex.ask(key, stream=stream)
        assert (status, "hello" in str(answer)) == (200, True)

    express, cloud = sorted(vertex.calls, key=lambda call: "projects" in call.path)
    verb = ":streamGenerateContent" if stream else ":generateContent"
    assert (express.path, cloud.path) == (EXPRESS + MODEL + verb, region("us-east1") + MODEL + verb)
    assert (express.headers["x-goog-api-key"], "authorization" in express.headers) == ("AQ.express", False)
    assert cloud.headers["authorization"].startswith("Bearer ya29.")
    assert "x-goog-api-key" not in cloud.headers
    rows = await vertex.settled()
    assert {row.project for row in rows} == {"express", "in-us-east1"}
    assert len({(row.micros, row.outcome) for row in rows}) == 1  # prices alike
    assert rows[0].micros > 0


async def test_each_surface_is_served(vertex: VertexTeam, request_lines: list[RequestLog]) -> None:
    key = vertex.issue()
    await vertex.start("express")
    contents = {"contents": [{"parts": [{"text": "hello"}]}]}  # without a role, as the Gemini API takes it
    for path, body, field in (
        ("/v1/messages", {"model": MODEL, "max_tokens": 50, "messages": user("hello")}, "content"),
        ("/v1/responses", {"model": MODEL, "input": "hello"}, "output"),
        ("/v1/messages/count_tokens", {"model": MODEL, "messages": user("hello")}, "input_tokens"),
        ("/v1/completions", {"model": MODEL, "prompt": "hello"}, "choices"),
        (f"/v1beta/models/{MODEL}:generateContent", contents, "candidates"),
        (f"/v1beta/models/{MODEL}:countTokens", {"generateContentRequest": {"model": f"models/{MODEL}", **contents}},
         "totalTokens"),
        ("/v1/embeddings", {"model": "gemini-embedding-2", "input": "one"}, "data"),
        ("/v1/embeddings", {"model": "gemini-embedding-2", "input": ["one", "two"]}, "data"),
        ("/v1/embeddings", {"model": "text-embedding-005", "input": ["one", "two"], "dimensions": 8}, "data"),
        ("/v1beta/models/gemini-embedding-2:embedContent", {"content": {"parts": [{"text": "hi"}]}, "taskType": "SEMANTIC_SIMILARITY"},
         "embedding"),
    ):  # fmt: skip
        status, answer = await vertex.post(key, path, body)
        assert (status, field in answer) == (200, True), (path, answer)
        if path == "/v1/embeddings":
            assert len(answer["data"]) == (1 if body["input"] == "one" else 2)
            assert answer["usage"]["prompt_tokens"] > 0

    assert {row.project for row in await vertex.settled()} == {"express"}
    assert {line.api for line in request_lines} == {"vertex"}


@pytest.mark.parametrize("model", [MODEL, "gemini-3.5-flash"])
async def test_a_tools_result_is_answered(vertex: VertexTeam, model: str) -> None:
    key = vertex.issue()
    await vertex.start("express")
    parameters = {"type": "object", "properties": {}}
    function = {"type": "function", "function": {"name": "get_weather", "parameters": parameters}}
    question = user("What is the weather?")
    _, _, first = await vertex.ask(key, model=model, messages=question, tools=[function])
    message = first["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "SUNNY-42"}

    history = [*question, message, result]
    status, _, answer = await vertex.ask(key, model=model, messages=history, tools=[function])

    assert (status, "SUNNY-42" in str(answer)) == (200, True), answer


async def test_what_vertex_does_not_know_is_left_out(vertex: VertexTeam) -> None:
    key = vertex.issue()
    await vertex.start("express")
    native = {
        "contents": [
            {"role": "user", "parts": [{"text": "a", "partMetadata": {"a": 1}}]},
            {"role": "model", "parts": [{"tool_call": {"toolType": "GOOGLE_SEARCH_WEB", "id": "1"}}]},
            {"parts": [{"text": "hello"}]},
        ],
        "tool_config": {"include_server_side_tool_invocations": True},
        "generationConfig": {"enableEnhancedCivicAnswers": True, "temperature": 1},
    }

    status, answer = await vertex.post(key, f"/v1beta/models/{MODEL}:generateContent", native)

    assert (status, answer.get("error")) == (200, None)
    sent = vertex.calls[-1].body
    assert [content["role"] for content in sent["contents"]] == ["user", "user"]
    assert sent["generationConfig"] == {"temperature": 1}


async def test_a_region_without_the_model_is_no_clients_fault(vertex: VertexTeam) -> None:
    """The next project answers; from then on the region is asked last, and only for this model."""
    key = vertex.issue()
    await vertex.start("europe-west4 global")
    new = "gemini-3.5-flash"
    assert new in MODELS

    statuses = [(await vertex.ask(key, model=new))[0] for _ in range(4)]
    native = await vertex.post(
        key, f"/v1beta/models/{new}:generateContent", {"contents": [{"parts": [{"text": "a"}]}]}
    )

    assert (statuses, native[0]) == ([200] * 4, 200)
    asked = [row.project for row in await vertex.settled() if row.status == 404]
    assert len(asked) <= 1
    assert (await vertex.ask(key, model=MODEL))[0] == 200


async def test_a_model_that_no_region_has_is_told_without_the_projects_name(vertex: VertexTeam) -> None:
    key = vertex.issue()
    await vertex.start("europe-west4 us-east1")
    for _ in range(3):  # the answer is the same when both are known to be without it
        status, _, answer = await vertex.ask(key, model="gemini-none")

        assert (status, answer["error"]["code"]) == (404, "model_not_found")
        assert "cloud-1" not in str(answer)
        assert "europe" not in str(answer)


async def test_an_account_without_permission_moves_the_call_on(vertex: VertexTeam) -> None:
    key = vertex.issue()
    await vertex.start("forbidden express")

    assert [(await vertex.ask(key))[0] for _ in range(3)] == [200] * 3


async def test_what_vertex_has_not_goes_to_the_gemini_api(vertex: VertexTeam) -> None:
    key = vertex.issue()
    await vertex.start("express gemini")
    for _ in range(3):
        status, answer = await vertex.post(
            key, "/v1beta/interactions", {"model": MODEL, "input": "hello", "store": False}
        )
        assert status == 200, answer

    assert {row.project for row in await vertex.settled()} == {"gemini"}


async def test_what_vertex_has_not_is_refused_clearly_without_the_gemini_api(vertex: VertexTeam) -> None:
    key = vertex.issue()
    await vertex.start("express")

    status, answer = await vertex.post(
        key, "/v1beta/interactions", {"model": MODEL, "input": "hello", "store": False}
    )

    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "Vertex AI" in answer["error"]["message"]


async def test_headers_of_a_client_do_not_change_who_pays(
    vertex: VertexTeam, http: aiohttp.ClientSession
) -> None:
    key = vertex.issue()
    await vertex.start("us-east1")
    headers = {
        "Authorization": f"Bearer {key}",
        "x-goog-user-project": "other",
        "x-goog-request-params": "a=b",
        "X-Server-Timeout": "30",
    }

    body = {"contents": [{"parts": [{"text": "a"}]}]}
    async with http.post(
        f"{vertex.base}/v1beta/models/{MODEL}:generateContent", json=body, headers=headers
    ) as response:
        assert response.status == 200, await response.text()

    sent = vertex.calls[-1].headers
    assert sent.keys() & {"x-goog-user-project", "x-goog-request-params", "x-goog-api-key"} == set()
    assert sent["x-server-timeout"] == "30"


async def test_the_other_transport_serves_it_too(vertex: VertexTeam, serve: Serve) -> None:
    key = vertex.issue()
    upstream = f"upstream: {{base_url: '{vertex.url}', transport: aiohttp}}\n"
    projects = f"pool: {{projects: [{vertex._project('us-east1')}]}}\n"
    vertex.base = await serve.text(upstream + projects + vertex.config)

    for stream in (False, True):
        assert (await vertex.ask(key, stream=stream))[0] == 200
    assert {call.path.rpartition("/")[0] + "/" for call in vertex.calls} == {region("us-east1")}


@pytest.mark.parametrize("private", [False, True])
async def test_private_addresses_of_googles_hosts_are_refused(private: bool) -> None:
    """Unless they are asked for, as with Private Service Connect: they would receive keys and tokens."""
    config = UpstreamConfig(private_addresses=private)
    vertex = VertexConfig(project="my-project-1", location="europe-west4")
    client = GeminiClient(config, [ProjectConfig("cloud", vertex=vertex)])

    refuses = client._refuses_private
    assert refuses("europe-west4-aiplatform.googleapis.com") is not private
    assert refuses("generativelanguage.googleapis.com") is not private
    assert not refuses("media.example")


async def test_a_clients_own_key_never_reaches_vertex(vertex: VertexTeam) -> None:
    """Not even one that is spelt as the express key, or as the name of a project with tokens."""
    await vertex.start("express us-east1", "auth: {passthrough: true}\n")
    for text in ("AQ.express", "vertex:cloud-1/us-east1"):
        status, _, _ = await vertex.ask(text)
        assert status in (200, 401)

    assert [call.path for call in vertex.calls if "publishers" in call.path] == []


@pytest.mark.parametrize("stream", [False, True])
async def test_an_expired_token_is_renewed_within_the_request(vertex: VertexTeam, stream: bool) -> None:
    key = vertex.issue()
    await vertex.start("us-east1")
    assert (await vertex.ask(key))[0] == 200
    vertex.tokens.revoke()

    status, _, answer = await vertex.ask(key, stream=stream)
    assert (status, "hello" in str(answer)) == (200, True)
    assert vertex.tokens.asked == 2
    assert {row.status for row in await vertex.settled()} == {200}


async def test_a_token_that_is_refused_again_moves_the_call_on(vertex: VertexTeam) -> None:
    """As of a clock of Google's that is an hour ahead of its token service's."""
    key = vertex.issue()
    await vertex.start("us-east1 express")
    vertex.tokens.early = 3600.0
    vertex.tokens.revoke()

    assert [(await vertex.ask(key))[0] for _ in range(4)] == [200] * 4
    assert [call.headers.get("x-goog-api-key") for call in vertex.calls][-2:] == ["AQ.express"] * 2
    assert vertex.tokens.asked <= 3


async def test_a_refused_account_cools_the_project_down(vertex: VertexTeam) -> None:
    vertex.environ["SA"] = account(vertex.url, "bad@cloud.example")
    key = vertex.issue()
    await vertex.start("us-east1 express")

    assert [(await vertex.ask(key))[0] for _ in range(4)] == [200] * 4
    assert vertex.tokens.asked <= 2


async def test_a_token_service_out_of_order_moves_the_call_on(
    vertex: VertexTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # between google-auth's own attempts
    key = vertex.issue()
    await vertex.start("us-east1 express")
    vertex.tokens.status = 503

    assert [(await vertex.ask(key))[0] for _ in range(3)] == [200] * 3
