"""`system_prompt`: texts of the operator's by client and model, on every surface."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gateway.errors import ConfigError
from gateway.plugin import SERVICES
from gateway.policy.clients.access import ClientKey
from gateway.policy.clients.client_rules import Rules
from tests.support.fakegem import FakeGem
from tests.support.hooks import SERVED, ask, asked
from tests.support.servers import Serve
from tests.support.surfaces import CHAT, GENERATING, MODEL, NATIVE, Surface, assert_whole


@pytest.fixture
async def gem() -> AsyncIterator[FakeGem]:
    upstream = FakeGem()
    await upstream.start()
    yield upstream
    await upstream.stop()


def system(request: bytes) -> list[str]:
    body = asked(request)
    return [part["text"] for part in body.get("systemInstruction", {"parts": []})["parts"]]


@pytest.mark.parametrize("surface", GENERATING, ids=[f"{s.name}{'-stream' * s.streamed}" for s in GENERATING])
async def test_o20_the_texts_are_there_on_every_surface(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, surface: Surface
) -> None:
    base = await serve(
        f"plugins: {{system_prompt: {{prompts: [{{text: Be kind.}}, {{text: Be brief., mode: append}}]}}, {SERVED}}}",
        gem.url,
    )
    assert_whole(await ask(http, base, surface))

    assert system(gem.requests[0]) == ["Be kind.", "Be brief."]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("prepend", ["Own.", "Mine."]), ("append", ["Mine.", "Own."]), ("replace", ["Own."])],
)
async def test_a_text_has_its_place_beside_the_client_s(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, mode: str, expected: list[str]
) -> None:
    base = await serve(
        f"plugins: {{system_prompt: {{prompts: [{{text: Own., mode: {mode}}}]}}, {SERVED}}}", gem.url
    )
    messages = [{"role": "system", "content": "Mine."}, {"role": "user", "content": "hi"}]
    await ask(http, base, CHAT, messages=messages)
    await ask(http, base, NATIVE, system_instruction={"parts": {"text": "Mine."}})

    assert [system(request) for request in gem.requests] == [expected, expected]


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        ("models: ['gemini-2.5-*']", True),
        ("models: ['gemini-3*', gemma-3]", False),
        ("clients: ['62af87*']", True),
        ("clients: [carl]", False),
        ("models: ['*'], clients: [carl, '*']", True),
    ],
)
async def test_a_text_is_for_some_clients_and_models(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, rule: str, applies: bool
) -> None:
    base = await serve(
        f"plugins: {{system_prompt: {{prompts: [{{text: Own., {rule}}}]}}, {SERVED}}}", gem.url
    )
    await ask(http, base, CHAT)

    assert system(gem.requests[0]) == (["Own."] if applies else [])


async def test_a_client_is_known_by_the_name_of_its_key(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    rules = "prompts: [{text: For Carl., clients: [carl]}, {text: By id., clients: [id1]}]"
    base = await serve(f"plugins: {{system_prompt: {{{rules}}}, {SERVED}}}", gem.url)
    access = serve.app[SERVICES].access
    access.issued = {"h": ClientKey("id1", "carl", "h", 0, None, None, Rules())}
    services = serve.app[SERVICES]
    plugin: Any = services.plugins["system_prompt"]
    from gateway.exchange.context import dry_context
    from gateway.policy.clients.access import Client

    changed = await plugin.on_call(MODEL, {"contents": []}, dry_context(Client("", "", "id1", "id1")))

    assert base
    assert changed["systemInstruction"]["parts"] == [{"text": "By id."}, {"text": "For Carl."}]


async def test_where_google_takes_no_instruction_the_first_turn_begins_with_it(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    base = await serve(f"plugins: {{system_prompt: {{prompts: [{{text: Own.}}]}}, {SERVED}}}", gem.url)
    await ask(http, base, CHAT, model="gemma-3-27b-it")
    await ask(http, base, NATIVE, cachedContent="cachedContents/x")
    contents = [asked(request)["contents"] for request in gem.requests]

    assert [system(request) for request in gem.requests] == [[], []]
    assert contents == [[{"role": "user", "parts": [{"text": "Own."}, {"text": "hello"}]}]] * 2


async def test_a_history_that_begins_with_the_model_gets_a_turn(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    base = await serve(f"plugins: {{system_prompt: {{prompts: [{{text: Own.}}]}}, {SERVED}}}", gem.url)
    contents = [{"role": "model", "parts": [{"text": "a"}]}, {"role": "user", "parts": [{"text": "b"}]}]
    await ask(http, base, NATIVE, cachedContent="cachedContents/x", contents=contents)

    assert asked(gem.requests[0])["contents"] == [{"role": "user", "parts": [{"text": "Own."}]}, *contents]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{}", "prompts"),
        ("{prompts: []}", "prompts"),
        ("{prompts: [{text: ''}]}", "text"),
        ("{prompts: [{text: a, mode: insert}]}", "insert"),
        ("{prompts: [{text: a, model: b}]}", "model"),
        ("{prompts: [{text: a}], on_error: maybe}", "maybe"),
        ("{prompts: [{text: a}], deadline: 0}", "deadline"),
    ],
)
async def test_a_mistake_is_told_with_its_place(serve: Serve, options: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as failure:
        await serve(f"plugins:\n  system_prompt: {options}\n")

    assert str(failure.value).startswith("test.yaml:3:")


OWN = "plugins: {{system_prompt: {{prompts: [{{text: Own., mode: replace{}}}]}}, {}}}"


async def test_o20_interactions_get_the_texts(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    base = await serve(OWN.format(", models: ['gemini-2.5-*']", SERVED).replace("replace", "append"), gem.url)
    body = {"model": "gemini-2.5-flash", "input": "x", "systemInstruction": "Mine."}
    async with http.post(base + "/v1beta/interactions/", json=body) as response:
        assert response.status == 200
    sent = asked(gem.requests[0])

    assert sent["system_instruction"] == "Mine.\n\nOwn."
    assert "systemInstruction" not in sent


@pytest.mark.parametrize("name", ["tunedModels/x", "dynamic/x"])
async def test_o20_a_model_that_is_not_known_gets_the_texts_of_all_models(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, name: str
) -> None:
    base = await serve(OWN.format(", models: ['gemini-2.5-*']", SERVED), gem.url)
    body = {"contents": [{"parts": [{"text": "x"}]}]}
    async with http.post(
        f"{base}/v1beta/{name}:generateContent", json=body, headers={"x-goog-api-key": "test-key"}
    ) as response:
        assert response.status == 200

    assert asked(gem.requests[0])["systemInstruction"] == {"parts": [{"text": "Own."}]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1beta/interactions", {"agent": "deep-research", "input": "x"}),
        ("/v1beta/models/gemini-2.5-flash:batchGenerateContent", {"batch": {}}),
        ("/v1beta/models/aqa:generateAnswer", {"contents": []}),
        ("/v1beta/models/gemini-2.5-flash:predict/", {"instances": []}),
        ("/v1beta/openai/unknown", {}),
        ("/v1beta/agents/a/interactions", {"model": "gemini-2.5-flash", "input": "x"}),
    ],
)
async def test_o20_methods_that_take_no_text_are_refused(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, path: str, body: dict[str, Any]
) -> None:
    base = await serve(OWN.format("", SERVED), gem.url)
    headers = {"x-goog-api-key": "test-key"}
    async with http.post(base + path, json=body, headers=headers) as response:
        assert (response.status, "cannot be added" in await response.text()) == (403, True)
    assert gem.requests == []
    await serve.stop()

    base = await serve(OWN.format(", clients: [carl]", SERVED), gem.url)
    async with http.post(base + path, json=body, headers=headers) as response:
        assert "cannot be added" not in await response.text()


async def test_o20_a_text_is_for_the_model_that_answers(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    base = await serve(OWN.format(", models: ['gemini-[23].*-flash']", SERVED), gem.url)
    for name in ("gemini-flash-latest", "Gemini-2.5-Flash"):
        async with http.post(
            f"{base}/v1beta/models/{name}:generateContent", json=NATIVE.body("x")
        ) as response:
            assert response.status == 200
    assert [system(request) for request in gem.requests] == [["Own."], ["Own."]]


async def test_o20_a_system_instruction_in_two_spellings_is_refused(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    base = await serve(OWN.format("", SERVED), gem.url)
    mine = {"parts": [{"text": "Mine."}]}
    reply = await ask(http, base, NATIVE, systemInstruction=mine, system_instruction=mine)

    assert reply.status == 400
    assert gem.requests == []
