"""What a call with an issued key may cost is reserved in full, whatever field or spelling hides it."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.servers import Fake, RawUpstream, Serve, ok
from tests.support.team import Team

PLUGINS = "plugins: {chat: {}, responses: {}, messages: {}, embeddings: {}, native: {}}\n"
M, PICTURE, EMBEDDING = "gemini-2.5-flash", "gemini-2.5-flash-image", "gemini-embedding-001"
TURN: dict[str, Any] = {"messages": [{"role": "user", "content": "draw a house"}]}
CONTENTS: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "draw a house"}]}]}


async def post(base: str, key: str, path: str, body: Any) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http,
        http.post(base + path, json=body) as response,
    ):
        return response.status, await response.json(content_type=None)


@pytest.fixture
def team(serve: Serve, tmp_path: Path, fake: Fake) -> Team:
    return Team(serve, tmp_path, fake.url)


@pytest.mark.row("A7")
@pytest.mark.parametrize("inputs", [2, 10])
async def test_a07_what_is_sent_with_each_text_is_reserved(team: Team, fake: Fake, inputs: int) -> None:
    key = team.issue(tokens={"month": 1000})
    await team.start("a", PLUGINS)
    fields = {"model": EMBEDDING, "input": ["x"] * inputs, "title": "word" * (300 // inputs)}
    status, answer = await post(team.base, key, "/v1/embeddings", fields)

    assert (status, answer["error"]["type"]) == (429, "insufficient_quota")
    assert not fake.calls


@pytest.mark.row("A7")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"model": EMBEDDING, "input": "word" * 160}),
        (f"/v1beta/models/{EMBEDDING}:embedContent", {"content": {"parts": [{"text": "word" * 150}]}}),
    ],
)
async def test_a07_a_limit_of_tokens_holds_answers_without_counts(
    serve: Serve, tmp_path: Path, raw_upstream: RawUpstream, path: str, body: Any
) -> None:
    vectors = {"embedding": {"values": [1.0]}, "embeddings": [{"values": [1.0]}]}
    raw_upstream.scripts = [ok(vectors)] * 4
    team = Team(serve, tmp_path, raw_upstream.url)
    key = team.issue(tokens_per_minute=400, tokens_per_day=400)
    await team.start("a", PLUGINS)

    assert [(await post(team.base, key, path, body))[0] for _ in range(4)] == [200, 200, 429, 429]


@pytest.mark.row("A7")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": PICTURE, "max_tokens": 1, **TURN}),
        ("/v1/chat/completions", {"model": PICTURE, "max_tokens": 1, "stream": True, **TURN}),
        ("/v1/responses", {"model": PICTURE, "max_output_tokens": 1, "input": "draw a house"}),
        ("/v1/messages", {"model": PICTURE, "max_tokens": 1, **TURN}),
        (f"/v1beta/models/{PICTURE}:generateContent", {**CONTENTS, "generationConfig": {"maxOutputTokens": 1}}),
        (f"/v1beta/models/{PICTURE}:streamGenerateContent", {**CONTENTS, "generation_config": {"max_output_tokens": 1}}),
        (
            f"/v1beta/models/{M}:generateContent",
            {**CONTENTS, "generationConfig": {"maxOutputTokens": 1, "responseModalities": [2], "candidateCount": 8}},
        ),
    ],
)  # fmt: skip
async def test_a07_a_picture_that_nobody_asked_for_is_reserved(
    team: Team, fake: Fake, path: str, body: Any
) -> None:
    key = team.issue(dollars={"month": 0.05})
    await team.start("a", PLUGINS)
    status, _ = await post(team.base, key, path, body)

    assert (status, bool(fake.calls)) == (429, False)


ANSWER = {
    "candidates": [{"content": {"parts": [{"text": "ok"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 100_000, "candidatesTokenCount": 1, "totalTokenCount": 100_001},
}


@pytest.mark.row("A7")
async def test_a07_a_picture_model_that_is_asked_for_text_reserves_text(
    serve: Serve, tmp_path: Path, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [ok(ANSWER)]
    team = Team(serve, tmp_path, raw_upstream.url)
    key = team.issue(dollars={"month": 0.05})
    await team.start("a", PLUGINS)
    body = {**CONTENTS, "generationConfig": {"maxOutputTokens": 1, "responseModalities": ["TEXT"]}}

    assert (await post(team.base, key, f"/v1beta/models/{PICTURE}:generateContent", body))[0] == 200


@pytest.mark.row("A7")
async def test_a07_a_service_tier_by_number_is_no_cheaper_than_by_name(
    serve: Serve, tmp_path: Path, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [ok(ANSWER)] * 4
    team = Team(serve, tmp_path, raw_upstream.url)
    key = team.issue(dollars={"month": 5.0})
    await team.start("a", PLUGINS)
    for tier in ("standard", "priority", 3, ["priority"]):
        body = {**CONTENTS, "serviceTier": tier, "generationConfig": {"maxOutputTokens": 100}}
        assert (await post(team.base, key, f"/v1beta/models/{M}:generateContent", body))[0] == 200
    standard, *others = [row.micros for row in await team.settled()]

    assert others == [2 * standard] * 3
    assert standard > 30_000


STORE = {"fileSearchStoreNames": ["fileSearchStores/of-the-operator"]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": M, **TURN, "google": {"tools": [{"fileSearch": STORE}]}}),
        ("/v1/chat/completions", {"model": M, **TURN, "extra_body": {"google": {"tools": [{"fileSearch": STORE}]}}}),
        ("/v1/chat/completions", {"model": "tunedModels/of-the-operator", **TURN}),
        ("/v1/chat/completions", {"model": "models/tunedModels/of-the-operator", **TURN}),
        ("/v1/responses", {"model": "tunedModels/of-the-operator", "input": "hi"}),
        ("/v1/messages", {"model": "tunedModels/of-the-operator", "max_tokens": 9, **TURN}),
        ("/v1/embeddings", {"model": "tunedModels/of-the-operator", "input": "hi"}),
        ("/v1beta/tunedModels/of-the-operator:generateContent", CONTENTS),
        (f"/v1beta/models/{M}:generateContent", {**CONTENTS, "tools": [{"fileSearch": STORE}]}),
        (f"/v1beta/models/{M}:generateContent", {**CONTENTS, "tools": {"file_search": STORE}}),
        (f"/v1beta/models/{M}:streamGenerateContent", {**CONTENTS, "tools": [{"googleSearch": {}, "file_search": {}}]}),
        (f"/v1beta/models/{M}:countTokens", {"generate_content_request": {**CONTENTS, "tools": [{"fileSearch": STORE}]}}),
        ("/v1beta/cachedContents", {"model": f"models/{M}", **CONTENTS, "tools": [{"fileSearch": STORE}]}),
    ],
)  # fmt: skip
async def test_an_issued_key_reaches_nothing_of_a_whole_project(
    team: Team, fake: Fake, path: str, body: Any
) -> None:
    key = team.issue()
    await team.start("a", PLUGINS)
    status, answer = await post(team.base, key, path, body)
    kinds = {answer["error"].get(field) for field in ("status", "code", "type")}

    assert status == 403, answer
    assert kinds & {"PERMISSION_DENIED", "not_for_issued_keys", "permission_error"}
    assert not fake.calls


async def test_an_own_key_searches_the_files_of_its_project(serve: Serve, fake: Fake) -> None:
    base = await serve(PLUGINS, fake.url)
    body = {**CONTENTS, "tools": [{"fileSearch": STORE}]}

    assert (await post(base, "AIza-own", f"/v1beta/models/{M}:generateContent", body))[0] == 200
