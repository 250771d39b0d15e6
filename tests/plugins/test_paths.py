"""Base URLs as clients are configured with them: each surface under each, and clear errors for what is not served."""

import json
from typing import Any

import aiohttp
import pytest
from yarl import URL

from gateway.observability.request_log import RequestLog
from gateway.plugin import Plugin
from gateway.server.plugin_loader import BUILT_IN, find_plugin
from tests.support.servers import Fake, Serve
from tests.support.team import Team

M = "gemini-2.5-flash"
TURN = {"messages": [{"role": "user", "content": "hi"}]}
BODIES: dict[str, tuple[Any, str, str]] = {
    "chat/completions": ({"model": M, **TURN}, "object", "chat.completion"),
    "completions": ({"model": M, "prompt": "hi"}, "object", "text_completion"),
    "responses": ({"model": M, "input": "hi"}, "object", "response"),
    "responses/input_tokens": ({"model": M, "input": "hi"}, "object", "response.input_tokens"),
    "messages": ({"model": M, "max_tokens": 9, **TURN}, "type", "message"),
    "messages/count_tokens": ({"model": M, **TURN}, "input_tokens", ""),
    "embeddings": ({"model": "gemini-embedding-001", "input": "x"}, "object", "list"),
    "moderations": ({"input": "hi"}, "results", ""),
}
BASES = (
    "",
    "/v1",
    "/api/v1",
    "/api",
    "/openai/v1",
    "/v1/v1",
    "//v1",
    "/v1beta/openai",
    "/anthropic/v1",
    "/openai",
)


@pytest.mark.row("G10", "G11")
@pytest.mark.parametrize("base", BASES)
async def test_g11_every_surface_is_served_under_every_base_url(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake, base: str
) -> None:
    names = [name for name in BUILT_IN if find_plugin(name).routes is not Plugin.routes]
    gateway = await serve(f"plugins: {{{', '.join(f'{name}: {{}}' for name in names)}}}", fake.url)
    for path, (body, field, value) in BODIES.items():
        for end in ("", "/", "?api-version=2024-10-21"):
            async with http.post(f"{gateway}{base}/{path}{end}", json=body) as response:
                answer = await response.json()
                assert response.status == 200, (base, path, answer)
                assert str(answer[field]) == value or not value
                assert "api-version" not in response.headers.get("x-gateway-notes", "")


@pytest.mark.row("G10", "G11")
@pytest.mark.parametrize("base", BASES)
async def test_g11_streams_models_and_stored_responses_too(
    http: aiohttp.ClientSession, gateway: str, base: str
) -> None:
    body = {**BODIES["responses"][0], "stream": True}
    async with http.post(f"{gateway}{base}/responses", json=body) as response:
        text = await response.text()
        assert "event: response.completed" in text
    name = json.loads(text.split("data: ")[1].split("\n")[0])["response"]["id"]
    async with http.get(f"{gateway}{base}/responses/{name}/input_items/") as response:
        assert (await response.json())["object"] == "list"
    for path in ("models", f"models/{M}", "models/"):
        async with http.get(f"{gateway}{base}/{path}") as response:
            answer = await response.json()
            assert "data" in answer or answer["id"] == M


@pytest.mark.row("G11")
async def test_g11_the_log_has_the_clients_path(
    http: aiohttp.ClientSession, gateway: str, request_lines: list[RequestLog]
) -> None:
    async with http.post(f"{gateway}//api/v1/embeddings/", json=BODIES["embeddings"][0]) as response:
        assert response.status == 200
    assert (request_lines[-1].path, request_lines[-1].surface) == ("//api/v1/embeddings/", "embeddings")


@pytest.mark.row("G11")
async def test_g11_a_proxys_rule_for_metrics_holds(http: aiohttp.ClientSession, serve: Serve) -> None:
    base = await serve("plugins: {chat: {}, metrics: {}, health: {}, hello: {}}")
    async with http.get(f"{base}/metrics") as response:
        assert "gateway_" in await response.text()
    for path in ("/metrics/", "//metrics", "/v1/metrics", "/api/metrics", "/openai/v1/metrics/"):
        async with http.get(base + path) as response:
            assert "gateway_" not in await response.text()


@pytest.mark.row("G11")
async def test_g11_preflights_are_answered_under_every_base_url(
    http: aiohttp.ClientSession, gateway: str
) -> None:
    headers = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST",
               "Access-Control-Request-Headers": "api-key"}  # fmt: skip
    for base in BASES:
        async with http.options(f"{gateway}{base}/responses/", headers=headers) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert response.headers["Access-Control-Allow-Headers"].lower() == "api-key"


@pytest.mark.row("G10")
@pytest.mark.parametrize("where", ["Authorization", "x-goog-api-key"])
async def test_g10_googles_base_url_is_openais_family_whatever_the_key(
    gateway: str, fake: Fake, where: str
) -> None:
    headers = {where: "Bearer k" if where == "Authorization" else "k"}
    async with aiohttp.ClientSession(gateway, headers=headers) as session:
        async with session.get("/v1beta/openai/models") as response:
            assert (await response.json())["object"] == "list"
        async with session.post(
            "/v1beta/openai/embeddings", json={**BODIES["embeddings"][0], "encoding_format": "base64"}
        ) as response:
            assert isinstance((await response.json())["data"][0]["embedding"], str)
        async with session.post("/v1beta/openai/chat/completions", json={"messages": []}) as response:
            assert (response.status, (await response.json())["error"]["type"]) == (
                400,
                "invalid_request_error",
            )
        async with session.post("/v1beta/openai/foo", json={}) as response:
            assert response.status == 404  # Google's


@pytest.mark.row("G13")
async def test_g13_azures_shape(gateway: str, fake: Fake) -> None:
    query, at = "?api-version=2024-10-21", f"{gateway}/openai"
    async with aiohttp.ClientSession(headers={"api-key": "k"}) as azure:
        for model, body, asked, note in (
            ("gemini-2.5-pro", {}, "gemini-2.5-pro", None),
            ("gemini-2.5-pro", {"model": "gemini-2.5-pro"}, "gemini-2.5-pro", None),
            ("gemini-2.5-pro", {"model": "gpt-4o"}, "gemini-2.5-pro", "model"),
            ("my-chat", {"model": "gemini-2.5-pro"}, "gemini-2.5-pro", "deployment"),
            ("google%2Fgemini-2.5-pro", {}, "gemini-2.5-pro", None),
            ("my-chat", {}, "gemini-flash-latest", "model"),
        ):
            url = URL(f"{at}/deployments/{model}/chat/completions{query}", encoded=True)
            for stream in (False, True):
                async with azure.post(url, json={**TURN, **body, "stream": stream}) as response:
                    assert response.status == 200, await response.text()
                    assert response.headers["x-gateway-model"] == asked
                    assert response.headers.get("x-gateway-notes") == note
                assert fake.last.model == asked
                assert fake.last.headers["x-goog-api-key"] == "k"
                assert "api-key" not in fake.last.headers
        async with azure.post(
            f"{at}/deployments/gemini-embedding-001/embeddings{query}", json={"input": "x"}
        ) as response:
            assert (response.status, (await response.json())["model"]) == (200, "gemini-embedding-001")
        async with azure.post(f"{at}/deployments/{M}/completions{query}", json={"prompt": "hi"}) as response:
            assert (response.status, response.headers["x-gateway-model"]) == (200, M)
        async with azure.get(f"{at}/models{query}") as response:
            assert (await response.json())["object"] == "list"
        async with azure.post(f"{at}/v1/responses{query}", json=BODIES["responses"][0]) as response:
            assert response.status == 200
        for name in ("..%2f..", "%2e%2e", "a%20b"):
            url = URL(f"{gateway}/openai/deployments/{name}/chat/completions", encoded=True)
            async with azure.post(url, json=TURN) as response:
                assert (response.status, (await response.json())["error"]["code"]) == (404, "unknown_url")


@pytest.mark.row("G13")
async def test_g13_strict_mode_answers_azures_clients(serve: Serve, fake: Fake) -> None:
    base = await serve("compat: strict", fake.url)
    async with (
        aiohttp.ClientSession(base, headers={"api-key": "k"}) as azure,
        azure.post(f"/openai/deployments/{M}/chat/completions?api-version=1", json=TURN) as response,
    ):
        assert response.status == 200


@pytest.mark.row("G13")
async def test_g13_issued_keys_come_in_as_azures_and_keep_their_rules(
    team: Team,
) -> None:
    key = team.issue(models=(M,))
    await team.start("a")
    async with aiohttp.ClientSession(team.base, headers={"api-key": key}) as azure:
        for model, status in ((M, 200), ("gemini-2.5-pro", 403)):
            async with azure.post(f"/openai/deployments/{model}/chat/completions", json=TURN) as response:
                assert response.status == status
        url = f"/openai/deployments/{M}/chat/completions"
        async with azure.post(url, json=TURN, headers={"x-api-key": "other"}) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (
                400,
                "conflicting_api_keys",
            )


UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip


@pytest.mark.row("G9")
@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/chat/completions",
        "/openai/v1/completions/",
        "/v1/embeddings",
        "/v1/messages",
    ],
)
async def test_g09_a_websocket_is_told_to_use_post(
    gateway: str, path: str, request_lines: list[RequestLog], event_lines: list[Any]
) -> None:
    async with aiohttp.ClientSession(gateway) as session:
        async with session.get(path, headers=UPGRADE) as response:
            assert response.status == 426
            assert response.headers["Upgrade"] == "HTTP/1.1"
            assert "POST" in (await response.json())["error"]["message"]
        async with session.get(path) as response:
            assert response.status == 405
        async with session.get(path, headers={"Connection": "Upgrade", "Upgrade": "h2c"}) as response:
            assert response.status == 405
    assert (request_lines[0].status, request_lines[0].error, event_lines) == (426, None, [])
    assert request_lines[0].duration_ms < 500


@pytest.mark.row("G9")
async def test_g09_without_hello_too(serve: Serve) -> None:
    base = await serve("plugins: {responses: {websockets: 0}}")
    async with aiohttp.ClientSession(base, headers={"Authorization": "Bearer k"}) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as failure:
            await session.ws_connect("/v1/responses")
        assert failure.value.status == 426
        with pytest.raises(aiohttp.WSServerHandshakeError) as failure:
            await session.ws_connect("/v1/realtime")
        assert failure.value.status == 404


OPENAI, ANTHROPIC, GOOGLE = "openai", "anthropic", "google"


def shape(error: Any) -> str:
    """Return the family whose error this is."""
    if error.get("type") == "error":
        return ANTHROPIC
    return GOOGLE if isinstance(error["error"]["code"], int) and error["error"]["status"] else OPENAI


@pytest.mark.row("G24")
@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("POST", "/v1/responses/compact", {}, OPENAI),
        ("POST", "/responses/compact", {}, OPENAI),
        ("GET", "/v1/responses/compact", {}, OPENAI),
        ("POST", "/v1/vector_stores", {}, OPENAI),
        ("GET", "/v1/realtime", UPGRADE, OPENAI),
        ("GET", "/realtime", {}, OPENAI),
        ("GET", "/openai/realtime", UPGRADE, OPENAI),
        ("POST", "/v1/conversations", {}, OPENAI),
        ("GET", "/containers", {}, OPENAI),
        ("GET", "/v1/unknown", {"anthropic-version": "2023-06-01"}, ANTHROPIC),
        ("POST", "/v1/messages/nothing", {}, ANTHROPIC),
        ("GET", "/anthropic/v1/messages/nothing", {}, ANTHROPIC),
        ("GET", "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiNothing", {}, GOOGLE),
        ("GET", "/ws/google.ai.generativelanguage.v1alpha.PredictionService.BidiGenerateContent", UPGRADE, GOOGLE),
        ("GET", "/v1/batches", {"anthropic-beta": "message-batches-2024-09-24"}, ANTHROPIC),
        ("GET", "/v1beta/interactions/a/live", UPGRADE, GOOGLE),
        ("GET", "/v2/whatever", {"x-goog-api-key": "k"}, GOOGLE),
    ],
)  # fmt: skip
async def test_g24_what_is_not_served_is_a_404_in_the_surfaces_own_shape(
    gateway: str, method: str, path: str, headers: dict[str, str], expected: str
) -> None:
    async with (
        aiohttp.ClientSession(gateway) as session,
        session.request(method, path, headers=headers) as response,
    ):
        text = await response.text()
        assert (response.status, shape(json.loads(text))) == (404, expected), text


@pytest.mark.row("G24")
async def test_g24_a_wrong_method_is_told_in_the_surfaces_own_shape(gateway: str) -> None:
    async with aiohttp.ClientSession(gateway) as session:
        for path, expected in (
            ("/v1/messages", ANTHROPIC),
            ("/v1/responses", OPENAI),
            ("/v1/chat/completions", OPENAI),
        ):
            async with session.get(path) as response:
                assert (response.status, shape(await response.json())) == (405, expected)
                assert "POST" in response.headers["Allow"]


@pytest.mark.row("G24")
@pytest.mark.parametrize("path", ["/", "/favicon.png", "/about", "/ws", "/download/report.pdf", "/metrics/"])
async def test_g24_other_paths_say_hello(gateway: str, path: str) -> None:
    async with aiohttp.ClientSession(gateway) as session, session.get(path) as response:
        assert (response.status, await response.text()) == (200, "hello")
