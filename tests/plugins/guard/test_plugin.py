"""`guard` in a gateway: prompts and answers on every surface, by rules and by a webhook."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.errors import ConfigError
from gateway.plugin import SERVICES
from gateway.plugins.guard.patterns import Pattern
from tests.support.fakegem import LAST_CHUNK, FakeGem, either, message, stream, whole
from tests.support.hooks import SERVED, ask, asked
from tests.support.servers import Serve
from tests.support.surfaces import (
    CHAT,
    CHAT_STREAM,
    GENERATING,
    NATIVE,
    NATIVE_STREAM,
    RESPONSES,
    RESPONSES_STREAM,
    Surface,
    assert_refused,
    assert_whole,
)

each_surface = pytest.mark.parametrize(
    "surface", GENERATING, ids=[f"{s.name}{'-stream' * s.streamed}" for s in GENERATING]
)


@pytest.fixture
async def gem() -> AsyncIterator[FakeGem]:
    upstream = FakeGem()
    await upstream.start()
    yield upstream
    await upstream.stop()


def rule(*options: str) -> str:
    return (
        f"plugins: {{guard: {{rules: [{{name: r, pattern: 'xy{{3,4}}', {', '.join(options)}}}]}}, {SERVED}}}"
    )


def answering(*pieces: str) -> Any:
    """Return the script of an answer in pieces."""
    chunks = [message(piece, None) for piece in pieces[:-1]] + [message(pieces[-1])]
    parts = [{"text": piece} for piece in pieces]
    return either(
        whole(message() | {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}),
        [*stream(*chunks), LAST_CHUNK],
    )


@each_surface
async def test_o20_a_prompt_is_refused(
    http: aiohttp.ClientSession,
    serve: Serve,
    gem: FakeGem,
    surface: Surface,
    event_lines: list[dict[str, Any]],
) -> None:
    base = await serve(rule("on: [prompt]", "message: Not that."), gem.url)
    reply = await ask(http, base, surface, "a xyyy b")

    assert_refused(reply, 400, "content_policy_violation")
    assert reply.json["error"]["message"] == "Not that."
    assert gem.requests == []
    assert_whole(await ask(http, base, surface, "a xyy b"))
    assert serve.app[SERVICES].statistics.plugin_events == {("guard", "r prompt refuse"): 1}
    (line,) = event_lines
    assert line["message"].startswith("guard: rule r, prompt: refuse; request ")
    assert "xyyy" not in str(event_lines)


@each_surface
async def test_o20_a_prompt_is_rewritten(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, surface: Surface
) -> None:
    base = await serve(rule("on: [prompt]", "action: rewrite"), gem.url)
    assert_whole(await ask(http, base, surface, "a xyyy b xyyyy"))

    assert asked(gem.requests[0])["contents"][0]["parts"] == [{"text": "a [removed] b [removed]"}]


@each_surface
async def test_o20_an_answer_is_rewritten_also_over_pieces(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, surface: Surface
) -> None:
    gem.always = answering("one x", "yy", "y two", " three")
    base = await serve(rule("on: [answer]", "action: rewrite", "replacement: '-'"), gem.url)

    assert_whole(await ask(http, base, surface), "one - two three")


@each_surface
async def test_o20_an_answer_ends_before_what_is_not_allowed(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, surface: Surface
) -> None:
    gem.always = answering("one x", "yy", "y two", " three")
    base = await serve(rule("on: [answer]"), gem.url)
    reply = await ask(http, base, surface)

    assert reply.status == 200
    if surface is not RESPONSES:  # whose refusal is a part of the content
        assert reply.text.startswith("one ")
    assert "xyy" not in reply.body.decode().replace("\\", "")
    assert "three" not in reply.body.decode()
    assert any(word in reply.body.decode() for word in ("content_filter", "SAFETY", "refusal"))


async def test_o20_calls_and_thoughts_are_checked(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    parts = [
        {"text": "thinking xyyy", "thought": True},
        {"text": "fine"},
        {"functionCall": {"name": "f", "args": {"a": "xyyy"}}},
    ]
    answer = message() | {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    gem.always = whole(answer)
    base = await serve(rule("on: [answer]", "action: rewrite"), gem.url)
    native = (await ask(http, base, NATIVE)).json["candidates"][0]["content"]["parts"]

    assert "".join(part["text"] for part in native if part.get("thought")) == "thinking [removed]"
    assert "".join(part["text"] for part in native if "text" in part and not part.get("thought")) == "fine"
    assert native[-1] == {"functionCall": {"name": "f", "args": {"a": "[removed]"}}}


@pytest.mark.parametrize(
    ("args", "rewritten"),
    [
        ({"a": 'say "xyyy" or\n"no"'}, {"a": 'say "<"r">" or\n"no"'}), ({"a": ["xyyy", {"b": "xyyy"}]}, None),
        ({"a": 'x"yyy'}, {"a": 'x"yyy'}), ({"xyyy": 1}, "refused"), ({"n": 8111}, "refused"), ({"n": 7111}, {"n": 7111}),
    ],
)  # fmt: skip
async def test_o20_arguments_stay_json_when_a_text_in_them_is_rewritten(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, args: dict[str, Any], rewritten: Any
) -> None:
    parts = [{"functionCall": {"name": "f", "args": args}}]
    gem.always = whole(message() | {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]})
    replacement = """replacement: '<"r">'"""
    options = f"on: [answer], action: rewrite, {replacement}"
    base = await serve(
        f"plugins: {{guard: {{rules: [{{name: r, pattern: '(xy{{3,4}}|8111)', {options}}}]}}, {SERVED}}}",
        gem.url,
    )
    reply = await ask(http, base, CHAT)

    calls = reply.json["choices"][0]["message"].get("tool_calls")
    if rewritten == "refused":
        assert calls is None
        return
    expected = {"a": ['<"r">', {"b": '<"r">'}]} if rewritten is None else rewritten
    assert json.loads(calls[0]["function"]["arguments"]) == expected


async def test_o20_descriptions_of_tools_are_part_of_the_prompt(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    base = await serve(rule("on: [prompt]"), gem.url)
    function = {"name": "f", "description": "say xyyy", "parameters": {"type": "object", "properties": {}}}
    reply = await ask(http, base, CHAT, tools=[{"type": "function", "function": function}])

    assert_refused(reply, 400, "content_policy_violation")


@pytest.mark.parametrize("surface", [CHAT, NATIVE], ids=["chat", "native"])
async def test_o20_what_quotes_an_answer_goes_with_what_is_rewritten(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, surface: Surface
) -> None:
    for text, whole_text in (("say xyyyy", False), ("say hello", True)):
        support = {"segment": {"endIndex": 9, "text": text}, "groundingChunkIndices": [0]}
        chunk = {"web": {"uri": "https://a.example", "title": "t"}}
        grounding = {"groundingChunks": [chunk], "groundingSupports": [support]}
        logprobs = {"chosenCandidates": [{"token": text, "logProbability": -1}]}
        parts = [{"text": text, "thoughtSignature": "sig"}]
        candidate = {"content": {"parts": parts}, "finishReason": "STOP", "groundingMetadata": grounding}
        gem.always = whole(message() | {"candidates": [candidate | {"logprobsResult": logprobs}]})
        base = await serve(rule("on: [answer]", "action: rewrite", "replacement: ok"), gem.url)
        body = (await ask(http, base, surface)).body.decode()

        assert ("https://a.example" in body) == whole_text
        assert "xyyyy" not in body
        assert "logProbability" not in body
        assert surface is CHAT or '"thoughtSignature":"sig"' in body.replace(" ", "")


@pytest.mark.parametrize("place", ["prompt", "answer"])
@pytest.mark.parametrize("ids", [[4236, 88], ["a", [4236, 88]], [[4236], [88]]])
async def test_o20_token_ids_are_no_way_around_a_check(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, place: str, ids: list[Any]
) -> None:
    base = await serve(rule(f"on: [{place}]").replace("native: {}", "embeddings: {}"), gem.url)
    async with http.post(
        base + "/v1/embeddings", json={"model": "gemini-embedding-001", "input": ids}
    ) as response:
        assert response.status == 400
        assert ("which token ids hide" in await response.text()) == (place == "prompt")


async def test_o20_what_is_no_conversation_is_checked_too(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    base = await serve(rule("on: [prompt]").replace("native: {}", "native: {}, embeddings: {}"), gem.url)
    for path, body in (
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ["a", "xyyy"]}),
        ("/v1beta/cachedContents", {"contents": [{"parts": [{"text": "xyyy"}]}]}),
        ("/v1beta/interactions", {"model": "gemini-2.5-flash", "input": "xyyy"}),
        ("/v1beta/models/gemini-2.5-flash:countTokens", {"contents": {"parts": {"text": "xyyy"}}}),
    ):
        async with http.post(base + path, json=body) as response:
            assert response.status == 400, path
    assert gem.requests == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1beta/interactions"),
        ("POST", "/v1beta/interactions/"),
        ("POST", "/v1/v1beta/interactions//"),
        ("GET", "/v1beta/interactions/abc"),
        ("GET", "/v1beta/batches/abc"),
        ("POST", "/v1beta/models/gemini-2.5-flash:batchGenerateContent/"),
        ("POST", "/v1beta/models/aqa:generateAnswer"),
        ("POST", "/v1beta/models/text-bison-001:generateText"),
        ("POST", "/v1beta/models/gemini-2.5-flash:predict"),
        ("GET", "/v1beta/files/x:download?alt=media"),
        ("GET", "/v1beta/files/x?alt=media"),
        ("GET", "/v1beta/files/x?$alt=MEDIA"),
        ("GET", "/v1beta/files/x?alt=json&%61lt=media"),
        ("GET", "/v1beta/fileSearchStores/a/documents/b?alt=media"),
        ("POST", "/v1alpha/auth_tokens"),
    ],
)
async def test_o20_where_answers_are_checked_unchecked_ones_are_refused(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, method: str, path: str
) -> None:
    body = {"model": "m", "input": "x"} if method == "POST" else None
    headers = {"x-goog-api-client": "genai-js", "x-goog-api-key": "test-key"}
    base = await serve(rule("on: [answer]"), gem.url)
    async with http.request(method, base + path, json=body, headers=headers) as response:
        assert response.status == 403
        assert "cannot be checked" in (await response.json())["error"]["message"]
    assert gem.requests == []

    await serve.stop()
    base = await serve(rule("on: [prompt]"), gem.url)
    async with http.request(method, base + path, json=body, headers=headers) as response:
        assert response.status == 200


async def test_o20_a_slash_at_the_end_is_the_same_call(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    base = await serve(rule("on: [prompt]", "action: rewrite"), gem.url)
    async with http.post(base + NATIVE.path + "/", json=NATIVE.body("xyyy")) as response:
        assert response.status == 200
    assert serve.app[SERVICES].statistics.plugin_events == {("guard", "r prompt rewrite"): 1}


async def test_o20_files_and_counts_are_allowed_where_answers_are_checked(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    base = await serve(rule("on: [answer]"), gem.url)
    for method, path in (
        ("GET", "/v1beta/models/gemini-2.5-flash"),
        ("GET", "/v1beta/files/x"),
        ("GET", "/v1beta/files/x?alt=json"),
        ("GET", "/v1beta/files/x?$alt=json;enum-encoding=int"),
        ("POST", "/v1beta/models/gemini-2.5-flash:countTokens"),
    ):
        body: Any = {"contents": []} if method == "POST" else None
        async with http.request(
            method, base + path, json=body, headers={"x-goog-api-key": "test-key"}
        ) as response:
            assert response.status == 200, path


@pytest.mark.parametrize("surface", [CHAT, NATIVE], ids=["chat", "native"])
async def test_o20_a_word_over_two_parts_of_a_prompt_is_found(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, surface: Surface
) -> None:
    base = await serve(rule("on: [prompt]"), gem.url)
    parts: Any = [{"text": "a xy"}, {"text": "yy b"}]
    if surface is CHAT:
        turns: Any = {"messages": [{"role": "user", "content": [{"type": "text", **part} for part in parts]}]}
    else:
        turns = {"contents": [{"role": "user", "parts": parts}]}
    assert_refused(await ask(http, base, surface, **turns), 400, "content_policy_violation")
    assert gem.requests == []


@pytest.mark.parametrize("action", ["refuse", "rewrite"])
@pytest.mark.parametrize("result", [{"data": "xyyy"}, {"id": "xyyy"}, {"xyyy": 1}])
async def test_o20_results_of_tools_are_checked_whatever_their_keys(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, action: str, result: dict[str, Any]
) -> None:
    base = await serve(rule("on: [prompt]", f"action: {action}"), gem.url)
    parts = [{"functionResponse": {"name": "f", "response": result}}]
    reply = await ask(http, base, NATIVE, contents=[{"role": "user", "parts": parts}])

    if action == "refuse" or "xyyy" in result:  # a key cannot be rewritten
        assert_refused(reply, 400)
    else:
        sent = asked(gem.requests[0])["contents"][0]["parts"][0]["functionResponse"]["response"]
        assert list(sent.values()) == ["[removed]"]


async def test_o20_a_large_prompt_is_read_in_a_thread_until_the_deadline(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[bool] = set()
    matches = Pattern.matches

    def noted(pattern: Pattern, *arguments: Any) -> Any:
        threads.add(threading.current_thread() is threading.main_thread())
        return matches(pattern, *arguments)

    monkeypatch.setattr(Pattern, "matches", noted)
    mail = "{name: mail, on: [prompt], pattern: '[a-z]{1,64}+@[a-z]{1,100}'}"
    base = await serve(f"plugins: {{guard: {{deadline: 0.05, rules: [{mail}]}}, {SERVED}}}", gem.url)
    reply = await ask(http, base, CHAT, "a" * 1_000_000)

    assert reply.status == 500  # nothing passes unchecked
    assert gem.requests == []
    assert threads == {False}


XYYY: Any = {
    "grounding": ({"groundingMetadata": {"webSearchQueries": ["xyyy q"]}}, []),
    "title": (
        {"groundingMetadata": {"groundingChunks": [{"web": {"uri": "https://a/", "title": "xyyy"}}]}},
        [],
    ),
    "message": ({"finishMessage": "it says xyyy"}, []),
    "field": ({"newField": [{"a": "xyyy"}]}, []),
    "logprobs": ({"logprobsResult": {"chosenCandidates": [{"token": "xyyy", "logProbability": -1}]}}, []),
    "response": ({}, [{"functionResponse": {"name": "f", "response": {"data": "xyyy"}}}]),
    "part": ({}, [{"newPart": {"id": "1", "args": {"q": "xyyy"}}}]),
    "beside text": ({}, [{"text": "a", "newPart": {"q": "xyyy"}}]),
    "key": ({}, [{"newPart": {"xyyy": 1}}]),
    "name": ({}, [{"functionCall": {"name": "xyyy", "args": {}}}]),
}
"""Fields of a candidate and parts of its content."""


@pytest.mark.parametrize("action", ["refuse", "rewrite"])
@pytest.mark.parametrize(
    "surface", [NATIVE, NATIVE_STREAM, CHAT, CHAT_STREAM], ids=lambda s: f"{s.name}{s.streamed}"
)
@pytest.mark.parametrize("place", XYYY)
async def test_o20_all_texts_of_an_answer_are_checked(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, surface: Surface, place: str, action: str
) -> None:
    fields, parts = XYYY[place]
    content = {"role": "model", "parts": [{"text": "fine"}, *parts]}
    answer = message() | {"candidates": [{"content": content, "finishReason": "STOP", **fields}]}
    gem.always = either(whole(answer), [*stream(answer), LAST_CHUNK])
    base = await serve(rule("on: [answer]", f"action: {action}"), gem.url)
    body = (await ask(http, base, surface)).body.decode()

    assert "xyyy" not in body
    assert "fin" in body


@pytest.mark.parametrize("surface", [NATIVE, NATIVE_STREAM], ids=lambda s: f"{s.name}{s.streamed}")
async def test_o20_what_no_rule_meets_stays(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, surface: Surface
) -> None:
    content = {
        "role": "model",
        "parts": [{"newPart": {"q": 1}}, {"functionResponse": {"name": "f", "response": {}}}],
    }
    candidate = {"content": content, "finishReason": "STOP", "groundingMetadata": {"webSearchQueries": ["q"]}}
    answer = message() | {"candidates": [candidate]}
    gem.always = either(whole(answer), [*stream(answer), LAST_CHUNK])
    base = await serve(rule("on: [answer]"), gem.url)
    body = (await ask(http, base, surface)).body.decode()

    for name in ("newPart", "functionResponse", "webSearchQueries"):
        assert name in body


Service = Callable[[Callable[[Any], Any]], Awaitable[str]]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """Starts a webhook that answers as a function of the question says."""
    runners = []

    async def start(answer: Callable[[Any], Any]) -> str:
        async def handle(request: web.Request) -> web.Response:
            result = answer({**await request.json(), "authorization": request.headers.get("Authorization")})
            if asyncio.iscoroutine(result):
                result = await result
            return result if isinstance(result, web.Response) else web.json_response(result)

        app = web.Application()
        app.add_routes([web.post("/check", handle)])
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/check"

    yield start
    for runner in runners:
        await runner.cleanup()


@each_surface
async def test_o20_a_webhook_refuses_and_rewrites_prompts(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, surface: Surface, service: Service
) -> None:
    questions = []

    def answer(question: Any) -> Any:
        questions.append(question)
        if "bad" in question["texts"]:
            return {"action": "refuse", "message": "Bad."}
        return {"action": "rewrite", "texts": [text.upper() for text in question["texts"]]}

    url = await service(answer)
    serve.environ = {"T": "token-of-the-webhook"}
    options = f"{{url: '{url}', on: [prompt], token: {{env: T}}}}"
    base = await serve(f"plugins: {{guard: {{webhook: {options}}}, {SERVED}}}", gem.url)
    assert_whole(await ask(http, base, surface, "good"))
    refused = await ask(http, base, surface, "bad")

    assert asked(gem.requests[0])["contents"][0]["parts"] == [{"text": "GOOD"}]
    assert_refused(refused, 400, "content_policy_violation")
    assert refused.json["error"]["message"] == "Bad."
    question = questions[0]
    assert (question["place"], question["texts"], question["last"]) == ("prompt", ["good"], True)
    assert (question["model"], question["surface"]) == ("gemini-2.5-flash", surface.name)
    assert question["authorization"] == "Bearer token-of-the-webhook"
    assert question["client"]


@pytest.mark.parametrize("surface", [CHAT, CHAT_STREAM, RESPONSES_STREAM, NATIVE], ids=lambda s: s.name)
async def test_o20_a_webhook_checks_answers_in_pieces(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, surface: Surface, service: Service
) -> None:
    questions = []

    def answer(question: Any) -> Any:
        questions.append((question["texts"][0], question["last"]))
        return {"action": "rewrite", "texts": [question["texts"][0].upper()]}

    url = await service(answer)
    gem.always = answering("one ", "two ", "three ", "four")
    base = await serve(
        f"plugins: {{guard: {{webhook: {{url: '{url}', on: [answer], window: 6}}}}, {SERVED}}}", gem.url
    )

    assert_whole(await ask(http, base, surface), "ONE TWO THREE FOUR")
    assert [last for _, last in questions] == [False] * (len(questions) - 1) + [True]
    assert len(questions) > 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda _: web.Response(status=500),
        lambda _: web.Response(text="no json"),
        lambda _: {"action": "maybe"},
        lambda _: {"action": "rewrite"},
        lambda _: {"action": "rewrite", "texts": []},
    ],
)
@pytest.mark.parametrize(("policy", "status"), [("refuse", 500), ("ignore", 200)])
async def test_o20_a_webhook_that_fails_hurts_as_the_policy_says(
    http: aiohttp.ClientSession,
    serve: Serve,
    gem: FakeGem,
    service: Service,
    wrong: Callable[[Any], Any],
    policy: str,
    status: int,
) -> None:
    url = await service(wrong)
    options = f"{{on_error: {policy}, webhook: {{url: '{url}', on: [prompt]}}}}"
    base = await serve(f"plugins: {{guard: {options}, {SERVED}}}", gem.url)

    assert (await ask(http, base, CHAT)).status == status
    assert serve.app[SERVICES].statistics.hook_failures == {("guard", "on_call", "raises"): 1}


@pytest.mark.parametrize("fault", ["status", "silence"])
@pytest.mark.parametrize("surface", [CHAT, CHAT_STREAM, NATIVE], ids=["chat", "stream", "native"])
async def test_o20_a_webhook_that_fails_and_is_ignored_costs_no_text(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, service: Service, surface: Surface, fault: str
) -> None:
    questions = []

    async def silence() -> None:
        await asyncio.Event().wait()

    def fail(question: Any) -> Any:
        questions.append(question)
        return web.Response(status=500) if fault == "status" else silence()

    url = await service(fail)
    gem.always = answering("one ", "two ", "three ", "four")
    options = f"{{on_error: ignore, deadline: 0.3, webhook: {{url: '{url}', on: [answer], window: 6}}}}"
    base = await serve(f"plugins: {{guard: {options}, {SERVED}}}", gem.url)

    assert_whole(await ask(http, base, surface), "one two three four")
    assert len(questions) == 1  # of one answer it is asked no more
    assert serve.app[SERVICES].statistics.plugin_events == {("guard", "webhook answer failed"): 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{}", "it needs `rules`, a `webhook`, or both"),
        (
            "{rules: [{name: a, pattern: 'x*'}]}",
            "the pattern of rule 'a' cannot be used: repetitions need an end",
        ),
        ("{rules: [{name: a, pattern: x}, {name: a, pattern: y}]}", "two rules have the same name"),
        ("{rules: [{name: 'a b', pattern: x}]}", "name"),
        ("{rules: [{name: a, pattern: x, on: []}]}", "on"),
        ("{rules: [{name: a, pattern: x, on: [reply]}]}", "reply"),
        ("{webhook: {url: 'ftp://x'}}", "url"),
    ],
)
async def test_a_mistake_is_told_with_its_place(serve: Serve, options: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as failure:
        await serve(f"plugins:\n  guard: {options}\n")

    assert str(failure.value).startswith("test.yaml:3:")
