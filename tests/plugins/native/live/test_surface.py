"""Live sessions through the gateway: keys, models, projects, budgets, tokens, and who is not let in."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from google import genai
from google.genai import types
from msgspec import structs

from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES
from gateway.policy.clients.client_rules import Rules
from tests.support.live import (
    PATH,
    SETUP,
    Google,
    M,
    closed,
    connected,
    received,
    setup,
    turn,
)
from tests.support.servers import Fake, Serve, upstream_of
from tests.support.team import Team
from tests.support.tls_front import encrypted
from tests.support.waiting import eventually

CONSTRAINED = PATH.replace("v1beta", "v1alpha") + "Constrained"
Start = Callable[..., Awaitable[TestServer]]


async def test_googles_sdk_talks_through_the_gateway(gateway: str, tmp_path: Path) -> None:
    config = types.LiveConnectConfig(output_audio_transcription=types.AudioTranscriptionConfig())
    async with (
        encrypted(gateway, tmp_path) as options,
        genai.Client(api_key="k", http_options=types.HttpOptions(**options)).aio.live.connect(
            model=M, config=config
        ) as session,
    ):
        for words in ("hello", "again"):
            await session.send_realtime_input(text=words)
            messages = [message async for message in session.receive()]
            spoken = [m.server_content.output_transcription for m in messages if m.server_content]
            assert [s.text for s in spoken if s] == [f"You said: {words}"]


@pytest.mark.parametrize("issued", [True, False])
async def test_rt14_messages_keep_their_type_and_their_bytes(
    team: Team, google: Google, *, issued: bool
) -> None:
    key = team.issue() if issued else "AIza-own"
    await team.start("a")
    odd = b' {"realtimeInput" : {"text":"\xc3\xa4"},\n "x":1 }'
    google.answers = [[b'{"setupComplete": {}}'], [odd, '{"text": "frame"}', bytes(range(256))], []]
    first = json.dumps(SETUP, indent=1)
    async with connected(team.base, key) as socket:
        await socket.send_str(first)
        assert (await socket.receive()).data == b'{"setupComplete": {}}'
        await socket.send_bytes(odd)
        answers = [await socket.receive(timeout=5) for _ in range(3)]
        await socket.send_str("\u00e4 is no JSON")
        await eventually(lambda: len(google.received) == 3)
    assert [(a.type, a.data) for a in answers] == [
        (WSMsgType.BINARY, odd), (WSMsgType.TEXT, '{"text": "frame"}'), (WSMsgType.BINARY, bytes(range(256))),
    ]  # fmt: skip
    assert google.received == [
        (WSMsgType.TEXT, first.encode()), (WSMsgType.BINARY, odd), (WSMsgType.TEXT, "ä is no JSON".encode()),
    ]  # fmt: skip
    assert google.handshakes[0][1]["x-goog-api-key"] == ("AIza-a" if issued else "AIza-own")


async def test_rt14_a_key_in_the_query_goes_to_google_in_a_header(
    team: Team, google: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    await team.start("a")
    async with aiohttp.ClientSession() as session:
        url = f"{team.base}{PATH}?key=AIzaSyOwnKey0000000000000000000000000000&x=1"
        async with session.ws_connect(url) as socket:
            await setup(socket)
    await eventually(lambda: bool(google.closed))
    path, headers = google.handshakes[0]
    assert path == PATH
    assert headers["x-goog-api-key"] == "AIzaSyOwnKey0000000000000000000000000000"
    output = capsys.readouterr()
    assert "AIzaSyOwn" not in output.out + output.err


async def test_rt14_a_model_that_the_key_may_not_use_closes_with_1008(team: Team, google: Google) -> None:
    key = team.issue(models=("gemini-3.8-flash*",))
    await team.start("a")
    async with connected(team.base, key) as socket:
        await socket.send_json(SETUP)
        code, reason = await closed(socket)
    assert (code, google.handshakes) == (1008, [])
    assert reason.startswith("This API key does not have access to the model `gemini-3.8-live`")
    assert team.rows() == []


async def test_each_turn_is_a_row_by_googles_counts(
    team: Team, google: Google, request_lines: list[RequestLog]
) -> None:
    key = team.issue(dollars={"month": 10.0})
    await team.start("a")
    search = {"serverContent": {"groundingMetadata": {"webSearchQueries": ["a", "b"]}}}
    google.answers = [[], [search, turn(1000, 200)], [turn(3000, 400, thoughtsTokenCount=50)]]
    async with connected(team.base, key) as socket:
        await setup(socket)
        for _ in range(2):
            await socket.send_json({"realtimeInput": {"text": "hi"}})
            await received(socket)
    first, second = await team.settled()
    assert (first.surface, first.model, first.project, first.outcome, first.status) == (
        "realtime",
        M,
        "a",
        "ok",
        200,
    )
    assert (first.prompt, first.prompt_audio, first.completion, first.completion_audio, first.searches) == (
        1000, 1000, 200, 200, 2,
    )  # fmt: skip
    assert (second.prompt, second.completion, second.thoughts) == (3000, 400, 50)
    assert first.micros == (1000 * 3 + 200 * 12 + 2 * 14_000)
    assert first.exact
    await eventually(lambda: bool(request_lines))
    record = request_lines[-1]
    assert (record.surface, record.status, record.model) == ("realtime", 101, M)
    assert (record.prompt_tokens, record.completion_tokens, record.attempts) == (4000, 650, 2)


async def test_a_budget_that_is_spent_in_the_session_ends_it_with_1008(team: Team, google: Google) -> None:
    key = team.issue(dollars={"month": 0.1})
    await team.start("a")
    google.answers = [[], [turn(30_000, 10)]]
    async with connected(team.base, key) as socket:
        await setup(socket)
        await socket.send_json({"realtimeInput": {"text": "hi"}})
        await received(socket)
        await socket.send_json({"realtimeInput": {"text": "more"}})
        assert await closed(socket) == (1008, "budget exhausted")
    assert len(google.received) == 2
    async with connected(team.base, key) as socket:
        await socket.send_json(SETUP)
        assert await closed(socket) == (1008, "budget exhausted")


async def test_a_session_that_no_turn_follows_costs_nothing(team: Team) -> None:
    key = team.issue(dollars={"month": 1.0})
    await team.start("a")
    async with connected(team.base, key) as socket:
        await setup(socket)
    (row,) = await team.settled()
    assert (row.outcome, row.micros, row.prompt) == ("ok", 0, 0)


async def test_a_client_that_leaves_in_an_answer_pays_what_was_reserved(team: Team, google: Google) -> None:
    key = team.issue(dollars={"month": 1.0})
    await team.start("a")
    google.answers = [[], [{"serverContent": {"modelTurn": {"parts": []}}}]]
    async with connected(team.base, key) as socket:
        await setup(socket)
        await socket.send_json({"realtimeInput": {"text": "hi"}})
        await socket.receive_bytes()
    (row,) = await team.settled()
    assert (row.micros, row.exact) == (20_000 * 3 + 1500 * 12, False)


async def test_words_that_were_not_answered_are_paid_as_input(team: Team, google: Google) -> None:
    key = team.issue(dollars={"month": 1.0})
    await team.start("a")
    async with connected(team.base, key) as socket:
        await setup(socket)
        await socket.send_json({"clientContent": {"turns": [{"parts": [{"text": "x" * 40_000}]}]}})
        await eventually(lambda: len(google.received) == 2)
    (row,) = await team.settled()
    assert 10_000 <= row.prompt <= 10_100


@pytest.mark.parametrize("place", ["handshake", "close frame"])
async def test_another_project_is_asked_where_the_first_is_busy(
    team: Team, google: Google, place: str
) -> None:
    key = team.issue()
    await team.start("ab")
    if place == "handshake":
        google.status = [429]
    else:
        google.answers = [[(1011, "You exceeded your current quota, please check your plan.")]]
    async with connected(team.base, key) as socket:
        await setup(socket)
    keys = [headers["x-goog-api-key"] for _, headers in google.handshakes]
    assert sorted(keys) == ["AIza-a", "AIza-b"]
    rows = await team.settled()
    assert [(row.outcome, row.micros) for row in rows] == [("error", 0), ("ok", 0)]
    google.status = [429, 429]
    async with connected(team.base, key) as socket:
        await socket.send_json(SETUP)
        code, reason = await closed(socket)
    assert code == 1008
    assert reason.startswith("All Google projects of this gateway")


async def test_googles_words_are_passed_on_but_not_those_about_the_pools_keys(
    team: Team, google: Google
) -> None:
    key = team.issue()
    await team.start("a")
    for mine, words, shown in (
        ("AIza-own", "API key not valid. Please pass a valid API key.", True),
        (key, "* BidiGenerateContentRequest.setup.tools[0]: no", True),
        (key, "API key not valid. Please pass a valid API key.", False),
    ):
        google.answers = [[(1007, words)]]
        async with connected(team.base, mine) as socket:
            await socket.send_json(SETUP)
            code, reason = await closed(socket)
        assert (reason == words) == shown
        assert code == (1007 if shown else 1008) or code == 1011


async def test_a_refused_handshake_has_googles_words_and_teaches_the_pool(
    team: Team, google: Google, serve: Serve
) -> None:
    key = team.issue()
    await team.start("a")
    google.words = "API key not valid. Please pass a valid API key."
    google.status = [400, 400, 403]
    async with connected(team.base, "AIza-own") as socket:
        await socket.send_json(SETUP)
        assert await closed(socket) == (1008, f"Incorrect API key provided: {google.words}")
    async with connected(team.base, key) as socket:
        await socket.send_json(SETUP)
        code, reason = await closed(socket)
    assert code in (1008, 1011)
    assert "API key not valid" not in reason
    states = serve.app[SERVICES].metrics.pool.describe(time())
    assert [(state.project, state.state) for state in states if state.key_id] == [("a", "refused")]
    async with connected(team.base, "AIza-own") as socket:
        google.words = "Live is not for you."
        await socket.send_json(SETUP)
        assert (await closed(socket))[1] == "Live is not for you."


async def test_a_handle_goes_on_in_its_project_and_for_its_client_alone(team: Team, google: Google) -> None:
    mine, other = team.issue(), team.issue()
    await team.start("abc")
    google.answers = [
        [{"setupComplete": {}}, {"sessionResumptionUpdate": {"newHandle": "h1", "resumable": True}}]
    ]
    async with connected(team.base, mine) as socket:
        await setup(socket)
        await socket.receive_bytes()
    first = google.handshakes[0][1]["x-goog-api-key"]
    for _ in range(4):
        async with connected(team.base, mine) as socket:
            await setup(socket, sessionResumption={"handle": "h1"})
    assert {headers["x-goog-api-key"] for _, headers in google.handshakes} == {first}
    async with connected(team.base, other) as socket:
        await socket.send_json({"setup": {**SETUP["setup"], "session_resumption": {"handle": "h1"}}})
        code, reason = await closed(socket)
    assert code == 1008
    assert "does not exist, or belongs to another API key" in reason


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('{"clientContent":{"turns":[{"parts":[{"fileData":{"fileUri":"files/abc"}}]}]}}', 1008),
        ('{"clientContent":{"turns":[{"parts":[{"fileData":{"f\\u0069leUri":"files/abc"}}]}]}}', 1008),
        ('{"client_content":{"turns":[{"parts":[{"file_data":{"file_uri":"files/abc"}}]}]},"client_content":{}}', 1007),
        ('{"contextUpdate":{"tools":{"tools":[{"fileSearch":{"fileSearchStoreNames":["x"]}}]}}}', 1008),
    ],
)  # fmt: skip
async def test_files_and_stores_of_others_do_not_get_through(
    team: Team, google: Google, message: str, code: int
) -> None:
    key = team.issue()
    await team.start("a")
    async with connected(team.base, key) as socket:
        await setup(socket)
        await socket.send_str(message)
        assert (await closed(socket))[0] == code
    assert len(google.received) == 1


async def minted(team: Team, key: str, **body: Any) -> str:
    async with (
        aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http,
        http.post(f"{team.base}/v1alpha/auth_tokens", json=body) as response,
    ):
        assert response.status == 200, await response.text()
        return str((await response.json())["name"])


@pytest.mark.parametrize("place", ["header", "query", "both", "key"])
async def test_a_token_opens_sessions_of_its_key(team: Team, google: Google, place: str) -> None:
    key = team.issue(dollars={"month": 1.0})
    await team.start("ab")
    token = await minted(team, key, uses=1, bidiGenerateContentSetup={"model": f"models/{M}"})
    assert token.startswith("auth_tokens/gw-")
    made_with = google.handshakes[0][1]["x-goog-api-key"]
    url, headers = team.base + CONSTRAINED, {}
    if place != "query":
        headers["x-goog-api-key" if place == "key" else "Authorization"] = (
            token if place == "key" else f"Token {token}"
        )
    if place == "both":
        headers["x-goog-api-key"] = token  # as google-genai does
    if place == "query":
        url += f"?access_token={token}"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=headers) as socket:
        await setup(socket)
    path, sent = google.handshakes[1]
    assert (path, sent["authorization"]) == (CONSTRAINED, "Token auth_tokens/google0")
    assert "x-goog-api-key" not in sent
    (row,) = [row for row in await team.settled() if row.surface == "realtime"]
    assert f"AIza-{row.project}" == made_with
    assert row.model == M


async def handshake(base: str, path: str = CONSTRAINED, **headers: str) -> int:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(base + path, headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status


async def test_forged_tokens_are_refused_and_googles_own_passed_on(team: Team, google: Google) -> None:
    await team.start("a")
    for token in (
        "auth_tokens/gw-forged",
        "auth_tokens/gw-" + "A" * 43,
        "sk-gw-" + "A" * 43,
        "auth_tokens/" + "x" * 600,
    ):
        assert await handshake(team.base, Authorization=f"Token {token}") == 401
    assert google.handshakes == []
    async with connected(
        team.base, "", CONSTRAINED, headers={"Authorization": "Token auth_tokens/theirs"}
    ) as socket:
        await setup(socket)
    assert google.handshakes[0][1]["authorization"] == "Token auth_tokens/theirs"
    assert (
        await handshake(team.base, Authorization="Token auth_tokens/a", **{"x-goog-api-key": "auth_tokens/b"})
        == 400
    )
    await team.start("a", "auth: {passthrough: false}\n")
    assert await handshake(team.base, Authorization="Token auth_tokens/theirs") == 401


async def test_a_token_ends_with_its_key_and_holds_its_rules(team: Team, serve: Serve) -> None:
    key = team.issue(models=(M,))
    await team.start("a")
    async with aiohttp.ClientSession(headers={"x-goog-api-key": key}) as http:
        for setups in (
            {"model": "models/gemini-x-live"},
            {"model": f"models/{M}", "tools": [{"fileSearch": {}}]},
        ):
            body = {"bidiGenerateContentSetup": setups}
            async with http.post(f"{team.base}/v1alpha/auth_tokens", json=body) as response:
                assert response.status == 403
    token = await minted(team, key)
    async with connected(team.base, "", CONSTRAINED, headers={"Authorization": f"Token {token}"}) as socket:
        await socket.send_json({"setup": {"model": "models/gemini-x-live"}})
        assert (await closed(socket))[0] == 1008
    serve.app[SERVICES].access.issued = {}
    assert await handshake(team.base, Authorization=f"Token {token}") == 401


async def test_tokens_of_a_clients_own_key_are_googles(team: Team, google: Google) -> None:
    await team.start("a")
    assert await minted(team, "AIza-own") == "auth_tokens/google0"


async def test_clients_that_are_not_let_in(team: Team, serve: Serve) -> None:
    key = team.issue()
    await team.start(
        "a",
        "plugins: {native: {live: {per_client: 2, sessions: 6}}}\ncors: {origins: [https://good.example]}\n",
    )
    assert await handshake(team.base, PATH) == 401
    assert (
        await handshake(
            team.base, PATH.replace("BidiGenerateContent", "BidiNothing"), **{"x-goog-api-key": key}
        )
        == 404
    )
    music = PATH.replace("BidiGenerateContent", "BidiGenerateMusic")
    assert await handshake(team.base, music, **{"x-goog-api-key": key}) == 403
    assert (
        await handshake(team.base, PATH, **{"x-goog-api-key": key, "Origin": "https://evil.example"}) == 403
    )
    async with (
        aiohttp.ClientSession() as http,
        http.get(team.base + PATH, headers={"x-goog-api-key": key}) as plain,
    ):
        assert plain.status == 405
    async with connected(team.base, key) as one, connected(team.base, key) as two:
        await setup(one)
        await setup(two)
        assert await handshake(team.base, PATH, **{"x-goog-api-key": key}) == 429
        async with connected(team.base, "AIza-own"):
            assert await handshake(team.base, PATH, **{"x-goog-api-key": "AIza-other"}) == 503
            statistics = serve.app[SERVICES].statistics
            assert statistics.live_sessions == 3
    await eventually(lambda: statistics.live_sessions == 0)
    assert statistics.live_closed["1000"] == 3


async def test_a_plugin_that_checks_prompts_would_not_see_them(fake: Fake, serve: Serve) -> None:
    base = await serve(
        "plugins: {native: {}, guard: {rules: [{name: x, pattern: secret, action: refuse}]}}", fake.url
    )
    assert await handshake(base, PATH, **{"x-goog-api-key": "k"}) == 403


async def test_the_limits_of_a_key_hold_in_a_session(team: Team, google: Google) -> None:
    key = team.issue(tokens_per_minute=500, requests_per_minute=2)
    await team.start("a")
    google.answers = [[], [turn(1000, 200)]]
    async with connected(team.base, key) as socket:
        await setup(socket)
        await socket.send_json({"realtimeInput": {"text": "hi"}})
        await received(socket)
        await socket.send_json({"realtimeInput": {"text": "more"}})
        code, reason = await closed(socket)
    assert code == 1008
    assert reason.startswith("Rate limit reached for this API key: 500 tokens per minute")


@pytest.mark.filterwarnings("ignore:.*experimental")
@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_googles_sdk_connects_to_a_live_interaction_with_its_own_key(
    team: Team, google: Google, version: str
) -> None:
    key = team.issue()
    await team.start("a")
    usage = {"total_input_tokens": 100, "total_output_tokens": 20, "total_tokens": 120}
    google.answers = [
        [], ['{"event_type":"step.stop","index":0}', json.dumps({"event_type": "interaction.completed",
              "interaction": {"id": "i", "status": "completed", "usage": usage}})],
    ]  # fmt: skip
    options = types.HttpOptions(base_url=team.base, api_version=version)
    client: Any = genai.Client(api_key="AIza-own", http_options=options)
    async with client.aio.interactions.connect("i") as interaction:
        await interaction.send("Hello")
        events = [event.event_type async for event in interaction.receive()]
    assert events == ["step.stop", "interaction.completed"]
    path, headers = google.handshakes[0]
    assert (path, headers["x-goog-api-key"]) == (f"/{version}/interactions/live", "AIza-own")
    assert json.loads(google.received[0][1]) == {"event_type": "interaction.connect", "id": "i"}
    (row,) = await team.settled()
    assert (row.surface, row.prompt, row.completion) == ("interactions", 100, 20)
    await client.aio.aclose()
    assert await handshake(team.base, f"/{version}/interactions/live", **{"x-goog-api-key": key}) == 403


async def test_rules_that_change_in_a_session_hold_from_the_next_turn_on(
    team: Team, google: Google, serve: Serve
) -> None:
    key = team.issue(models=(M,))
    await team.start("a")
    google.answers = [[], [turn()], [turn()]]
    async with connected(team.base, key) as socket:
        await setup(socket)
        for _ in range(2):
            await socket.send_json({"realtimeInput": {"text": "hi"}})
            await received(socket)
        access = serve.app[SERVICES].access
        changed = Rules(models=("gemini-3.8-flash",))
        access.issued = {
            digest: structs.replace(record, rules=changed) for digest, record in access.issued.items()
        }
        await socket.send_json({"realtimeInput": {"text": "more"}})
        code, reason = await closed(socket)
    assert code == 1008
    assert reason.startswith("This API key does not have access to the model")
    assert len(google.received) == 3


async def test_a_redirect_of_the_handshake_is_not_followed(serve: Serve, aiohttp_server: Start) -> None:
    other: list[str] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        other.append(request.path)
        return web.Response()

    target = await upstream_of(aiohttp_server, elsewhere)

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": target + request.path})

    base = await serve("", await upstream_of(aiohttp_server, answer))
    async with connected(base) as socket:
        await socket.send_json(SETUP)
        assert (await closed(socket))[0] == 1011
    await asyncio.sleep(0)
    assert other == []
