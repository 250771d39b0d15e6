"""Hooks of plugins, on every generating surface: what they see, change, refuse and stop, and what happens when they fail."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, ClassVar

import aiohttp
import pytest
from msgspec.structs import replace

from gateway.errors import Forbidden
from gateway.exchange.context import RequestContext
from gateway.exchange.finished_answer import FinishedAnswer
from gateway.exchange.hooks import Answering, HookOptions, StopAnswer
from gateway.gemini.events import Event, Finished, TextDelta, TurnEnded, TurnStarted
from gateway.plugin import SERVICES, Plugin
from tests.support.fakegem import LAST_CHUNK, FakeGem, either, message, stream, whole
from tests.support.hooks import SERVED, ask, asked, install
from tests.support.servers import Serve
from tests.support.surfaces import (
    CHAT,
    CHAT_STREAM,
    COMPLETIONS,
    GENERATING,
    MESSAGES_STREAM,
    NATIVE,
    NATIVE_STREAM,
    RESPONSES,
    Surface,
    assert_broken_off,
    assert_refused,
    assert_whole,
)

each_surface = pytest.mark.parametrize(
    "surface", GENERATING, ids=[f"{s.name}{'-stream' * s.streamed}" for s in GENERATING]
)
Hook = Callable[..., Any]


class Scripted(Plugin):
    """A plugin whose hooks are a test's functions."""

    Config = HookOptions


class First(Scripted):
    """The first plugin in the YAML."""

    request: ClassVar[Hook] = staticmethod(lambda body: None)
    call: ClassVar[Hook] = staticmethod(lambda body: None)
    event: ClassVar[Hook] = staticmethod(lambda event: event)
    answers: ClassVar[list[FinishedAnswer]] = []

    async def on_request(self, body: dict[str, Any], context: RequestContext) -> dict[str, Any] | None:
        result: dict[str, Any] | None = self.request(body)
        return result

    async def on_call(
        self, model: str, body: dict[str, Any], context: RequestContext
    ) -> dict[str, Any] | None:
        result: dict[str, Any] | None = self.call(body)
        return result

    async def on_event(self, event: Event, answer: Answering) -> Event | Sequence[Event] | None:
        result = self.event(event)
        if asyncio.iscoroutine(result):
            result = await result
        changed: Event | Sequence[Event] | None = result
        return changed

    async def on_answer(self, answer: FinishedAnswer, context: RequestContext) -> None:
        self.answers.append(answer)


class Second(Scripted):
    """The second plugin, which sees what the first has left."""

    async def on_call(
        self, model: str, body: dict[str, Any], context: RequestContext
    ) -> dict[str, Any] | None:
        parts = (body.get("systemInstruction") or {"parts": []})["parts"]
        return body | {"systemInstruction": {"parts": [*parts, {"text": "second"}]}}

    async def on_event(self, event: Event, answer: Answering) -> Event | Sequence[Event] | None:
        return replace(event, text=event.text + "!") if isinstance(event, TextDelta) and event.text else event


@pytest.fixture
async def gem() -> AsyncIterator[FakeGem]:
    upstream = FakeGem()
    await upstream.start()
    yield upstream
    await upstream.stop()


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> type[First]:
    """The scripted plugin, installed as `first`; `second` is installed, too."""
    plugin = type("Plugged", (First,), {"answers": []})
    install(monkeypatch, first=plugin, second=Second)
    return plugin


def set_hook(plugin: type[First], name: str, hook: Hook) -> None:
    setattr(plugin, name, staticmethod(hook))


def said(body: dict[str, Any]) -> list[str]:
    """Return the texts of a system instruction."""
    return [part["text"] for part in (body.get("systemInstruction") or {"parts": []})["parts"]]


@each_surface
async def test_o20_the_request_is_changed_as_it_arrived(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First], surface: Surface
) -> None:
    def louder(body: dict[str, Any]) -> dict[str, Any]:
        assert body == surface.body("hello")
        return surface.body("HELLO")

    set_hook(first, "request", louder)
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}", gem.url)
    reply = await ask(http, base, surface)

    assert_whole(reply)
    assert asked(gem.requests[0])["contents"] == [{"role": "user", "parts": [{"text": "HELLO"}]}]


@each_surface
@pytest.mark.parametrize("hook", ["request", "call", "event"])
async def test_o20_each_hook_refuses_in_the_format_of_the_surface(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First], surface: Surface, hook: str
) -> None:
    def refuse(_: object) -> None:
        raise Forbidden("Not here.", code="not_here")

    set_hook(first, hook, refuse)
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}", gem.url)
    reply = await ask(http, base, surface)
    gem_requests = len(gem.requests)

    assert_refused(reply, 403, "not_here")
    assert reply.json["error"]["message"] == "Not here."
    assert gem_requests == (1 if hook == "event" else 0)  # never repeated
    assert (await ask(http, base, surface)).status == 403


@each_surface
async def test_o20_calls_and_events_are_changed_in_the_order_of_the_yaml(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First], surface: Surface
) -> None:
    set_hook(first, "call", lambda body: body | {"systemInstruction": {"parts": [{"text": "first"}]}})
    set_hook(
        first, "event", lambda event: replace(event, text="?") if isinstance(event, TextDelta) else event
    )
    gem.always = either(whole(message()), [*stream(message()), LAST_CHUNK])
    for order, system, text in (("first: {}, second: {}", ["first", "second"], "?!"), ("second: {}, first: {}", ["first"], "?")):  # fmt: skip
        base = await serve(f"plugins: {{{SERVED}, {order}}}", gem.url)
        reply = await ask(http, base, surface)

        assert_whole(reply, text)
        assert said(asked(gem.requests[-1])) == system


@each_surface
async def test_o20_events_are_dropped_added_and_held_back(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First], surface: Surface
) -> None:
    held: list[str] = []

    def at_the_end(event: Event) -> Event | list[Event] | None:
        if isinstance(event, TextDelta):
            held.append(event.text)
            return None
        if isinstance(event, Finished):
            return [TextDelta(event.index, "".join(reversed("".join(held)))), event]
        return None if isinstance(event, TurnStarted | TurnEnded) else event  # these two cannot be dropped

    set_hook(first, "event", at_the_end)
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}", gem.url)

    assert_whole(await ask(http, base, surface), "enif")


@each_surface
async def test_o20_an_answer_is_stopped(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First], surface: Surface
) -> None:
    def until_n(event: Event) -> Event:
        if isinstance(event, TextDelta) and "n" in event.text:
            raise StopAnswer("length")
        return event

    set_hook(first, "event", until_n)
    gem.always = either(
        whole(message() | {"candidates": [{"content": {"parts": [{"text": "fi"}, {"text": "n"}, {"text": "e"}]}, "finishReason": "STOP"}]}),
        [*stream(message("fi", None), message("n", None)), None],  # what follows is not waited for
    )  # fmt: skip
    base = await serve(f"plugins: {{first: {{}}, second: {{}}, {SERVED}}}", gem.url)
    reply = await ask(http, base, surface)

    assert_whole(reply, "fi!")
    last = reply.body.decode()
    assert any(word in last for word in ('"length"', '"max_tokens"', '"MAX_TOKENS"', '"max_output_tokens"'))


@each_surface
async def test_o20_a_finished_answer_is_observed(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First], surface: Surface
) -> None:
    base = await serve(f"plugins: {{first: {{}}, second: {{}}, {SERVED}}}", gem.url)
    reply = await ask(http, base, surface)
    await serve.stop()
    (answer,) = first.answers

    assert reply.status == 200
    assert answer.text.replace("!", "") == "fine"  # as the client got it
    assert answer.text == reply.text
    assert (answer.finish_reason, answer.status, answer.error) == ("stop", 200, None)
    assert (answer.model, answer.usage.prompt, answer.usage.completion) == ("gemini-2.5-flash", 10, 5)
    assert answer.dollars == pytest.approx(10 * 0.30e-6 + 5 * 2.50e-6, abs=1e-6)
    assert answer.seconds > 0


@each_surface
async def test_o20_a_failed_answer_is_observed(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First], surface: Surface
) -> None:
    gem.always = whole(
        {"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}, "400 Bad Request"
    )
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}", gem.url)
    await ask(http, base, surface)
    await serve.stop()
    (answer,) = first.answers

    assert (answer.status, answer.text, answer.choices) == (400, "", [])


async def hang(_: object) -> Any:
    await asyncio.sleep(60)


def crash(_: object) -> Any:
    raise KeyError("a client's text")


@each_surface
@pytest.mark.parametrize("hook", ["request", "call", "event"])
async def test_o20_a_hook_that_raises_is_told_by_name_and_refuses(
    http: aiohttp.ClientSession,
    serve: Serve,
    gem: FakeGem,
    first: type[First],
    surface: Surface,
    hook: str,
    event_lines: list[dict[str, Any]],
) -> None:
    set_hook(first, hook, crash)
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}", gem.url)
    reply = await ask(http, base, surface)

    assert_refused(reply, 500, "plugin_failed")
    (line,) = [line for line in event_lines if line["event"] == "log"]
    assert line["logger"] == "gateway.plugins.first"
    assert line["message"].startswith(f"plugin first: on_{hook} raised KeyError in request ")
    assert "test_hooks.py" in line["trace"]
    assert "client" not in str(line).replace("on the client", "")
    assert serve.app[SERVICES].statistics.hook_failures == {("first", f"on_{hook}", "raises"): 1}


@each_surface
@pytest.mark.parametrize("hook", ["request", "call", "event"])
async def test_o20_a_hook_that_is_ignored_hurts_nothing(
    http: aiohttp.ClientSession,
    serve: Serve,
    gem: FakeGem,
    first: type[First],
    surface: Surface,
    hook: str,
    event_lines: list[dict[str, Any]],
) -> None:
    set_hook(first, hook, crash)
    base = await serve(f"plugins: {{first: {{on_error: ignore}}, second: {{}}, {SERVED}}}", gem.url)
    reply = await ask(http, base, surface)

    assert reply.status == 200
    assert reply.text.replace("!", "") == "fine"
    assert said(asked(gem.requests[0])) == ["second"]
    assert len([line for line in event_lines if line["event"] == "log"]) == 1  # once, not for each event
    assert sum(serve.app[SERVICES].statistics.hook_failures.values()) == 1


@pytest.mark.parametrize("surface", [CHAT, CHAT_STREAM, NATIVE_STREAM], ids=["chat", "stream", "native"])
@pytest.mark.parametrize("policy", ["refuse", "ignore"])
async def test_o20_a_hook_that_hangs_has_a_deadline(
    http: aiohttp.ClientSession,
    serve: Serve,
    gem: FakeGem,
    first: type[First],
    surface: Surface,
    policy: str,
    event_lines: list[dict[str, Any]],
) -> None:
    set_hook(first, "event", hang)
    base = await serve(f"plugins: {{first: {{on_error: {policy}, deadline: 0.05}}, {SERVED}}}", gem.url)
    reply = await ask(http, base, surface)

    if policy == "refuse":
        assert_refused(reply, 500, "plugin_failed")
    else:
        assert_whole(reply)
    (line,) = [line for line in event_lines if line["event"] == "log"]
    assert "plugin first: on_event took longer than 0.05 s" in line["message"]
    assert serve.app[SERVICES].statistics.hook_failures == {("first", "on_event", "hangs"): 1}


@pytest.mark.parametrize("surface", [CHAT_STREAM, MESSAGES_STREAM, NATIVE_STREAM], ids=lambda s: s.name)
async def test_o20_a_refusal_in_mid_stream_is_an_error_event(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First], surface: Surface
) -> None:
    def until_n(event: Event) -> Event:
        if isinstance(event, TextDelta) and "n" in event.text:
            raise Forbidden("No n.", code="no_n")
        return event

    set_hook(first, "event", until_n)
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}", gem.url)

    assert_broken_off(await ask(http, base, surface), "no_n")


async def test_o20_a_refusal_says_nothing_about_project_and_model(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First]
) -> None:
    set_hook(first, "event", crash)
    serve.environ = {"K": "AIza" + "k" * 35}
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}", gem.url)
    for surface in (CHAT, CHAT_STREAM, NATIVE, NATIVE_STREAM):
        await ask(http, base, surface)

    assert serve.app[SERVICES].statistics.failures == {}
    assert len(gem.requests) == 4


async def test_o20_an_attempt_that_fails_is_forgotten(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Holding(Scripted):
        async def on_event(self, event: Event, answer: Answering) -> Event | Sequence[Event] | None:
            held = answer.values.setdefault("held", [])
            if isinstance(event, TextDelta):
                held.append(event.text)
                return None
            return [TextDelta(0, "".join(held)), event] if isinstance(event, Finished) else event

    install(monkeypatch, holding=Holding)
    gem.queue.append([*stream(message("lost ", None)), LAST_CHUNK])  # ends without a finish reason
    base = await serve(f"plugins: {{holding: {{}}, {SERVED}}}", gem.url)

    assert_whole(await ask(http, base, CHAT_STREAM), "fine")
    assert len(gem.requests) == 2


async def test_o20_choices_and_candidates_are_told_apart(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First]
) -> None:
    set_hook(first, "event", lambda e: replace(e, text=f"{e.index}") if isinstance(e, TextDelta) else e)
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}", gem.url)
    reply = await ask(http, base, CHAT, n=2)
    several = {
        "candidates": [
            {"index": i, "content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"} for i in (0, 1)
        ]
    }
    gem.always = whole(message() | several)
    native = await ask(http, base, NATIVE)
    await serve.stop()

    assert [choice["message"]["content"] for choice in reply.json["choices"]] == ["0", "1"]
    assert [c["content"]["parts"] for c in native.json["candidates"]] == [[{"text": "0"}], [{"text": "1"}]]
    assert [[choice.text for choice in answer.choices] for answer in first.answers] == [
        ["0", "1"],
        ["0", "1"],
    ]


async def test_o20_a_response_in_the_background_has_hooks_and_one_end(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First]
) -> None:
    set_hook(first, "event", lambda e: replace(e, text=e.text.upper()) if isinstance(e, TextDelta) else e)
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}", gem.url)
    reply = await ask(http, base, RESPONSES, background=True)
    response = reply.json
    while response["status"] in ("queued", "in_progress"):
        async with http.get(f"{base}/v1/responses/{response['id']}") as answer:
            response = await answer.json()
    await serve.stop()

    assert response["output"][0]["content"][0]["text"] == "FINE"
    assert [answer.text for answer in first.answers] == ["FINE"]


async def test_o20_each_message_of_a_websocket_is_a_request_with_hooks(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First]
) -> None:
    def louder(body: dict[str, Any]) -> dict[str, Any]:
        return body | {"input": body["input"].upper()}

    set_hook(first, "request", louder)
    set_hook(first, "event", lambda e: replace(e, text=e.text.upper()) if isinstance(e, TextDelta) else e)
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}", gem.url)
    async with http.ws_connect(base + "/v1/responses") as socket:
        for text in ("one", "two"):
            await socket.send_json({"type": "response.create", "model": "gemini-2.5-flash", "input": text})
            while (event := await socket.receive_json())["type"] != "response.completed":
                assert event["type"] != "error", event
            assert event["response"]["output"][0]["content"][0]["text"] == "FINE"
    await serve.stop()

    assert [asked(request)["contents"][-1]["parts"] for request in gem.requests] == [
        [{"text": "ONE"}],
        [{"text": "TWO"}],
    ]
    assert [answer.text for answer in first.answers] == ["FINE", "FINE"]


async def test_o20_cached_answers_pass_the_hooks(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First]
) -> None:
    set_hook(first, "event", lambda e: replace(e, text=e.text.upper()) if isinstance(e, TextDelta) else e)
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}\ncache: {{megabytes: 8}}", gem.url)
    http.headers["x-gateway-cache"] = "60"
    for surface, cached in ((CHAT, "miss"), (CHAT, "hit"), (CHAT_STREAM, "hit")):
        reply = await ask(http, base, surface)
        assert_whole(reply, "FINE")
        assert reply.headers["x-gateway-cache"] == cached


async def test_o20_a_fallback_model_gets_the_changed_call(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First]
) -> None:
    gone = "models/gemini-2.5-flash is not found for API version v1beta, or is not supported for generateContent."
    gem.queue.append(whole({"error": {"code": 404, "message": gone, "status": "NOT_FOUND"}}, "404 No"))
    models = "models: {fallbacks: {gemini-2.5-flash: [gemini-2.0-flash]}}"
    base = await serve(f"plugins: {{second: {{}}, {SERVED}}}\n{models}", gem.url)
    reply = await ask(http, base, CHAT)

    assert reply.headers["x-gateway-model"] == "gemini-2.5-flash"  # the name in the answer
    assert [said(asked(request)) for request in gem.requests] == [["second"], ["second"]]


async def test_o20_a_mistaken_call_is_the_plugin_s(
    http: aiohttp.ClientSession,
    serve: Serve,
    gem: FakeGem,
    first: type[First],
    event_lines: list[dict[str, Any]],
) -> None:
    base = await serve(f"plugins: {{first: {{on_error: ignore}}, {SERVED}}}", gem.url)
    mistakes: list[Any] = [
        {"contents": 3},
        {"contentz": []},
        {"generationConfig": {"temprature": 1}},
        [],
        "x",
    ]
    for wrong in mistakes:
        set_hook(first, "call", lambda body, wrong=wrong: body | wrong if isinstance(wrong, dict) else wrong)
        assert_whole(await ask(http, base, CHAT))

    assert len([line for line in event_lines if "on_call raised" in line.get("message", "")]) == 5


async def test_o20_values_and_headers_last_as_long_as_the_request(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    class Keeping(Scripted):
        async def on_request(self, body: dict[str, Any], context: RequestContext) -> None:
            context.values[self.name] = context.headers["x-team"]

        async def on_answer(self, answer: FinishedAnswer, context: RequestContext) -> None:
            seen.append((context.values[self.name], context.surface, context.client.fingerprint != ""))

    install(monkeypatch, keeping=Keeping)
    base = await serve(f"plugins: {{keeping: {{}}, {SERVED}}}", gem.url)
    http.headers["x-team"] = "blue"
    for surface in (CHAT_STREAM, COMPLETIONS, NATIVE):
        await ask(http, base, surface)
    await serve.stop()

    assert seen == [("blue", "chat", True), ("blue", "completions", True), ("blue", "native", True)]


async def test_o20_an_answer_that_nothing_changes_keeps_its_bytes(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First]
) -> None:
    odd = (
        b'{"candidates" : [ {"content": {"parts": [{"text": "fine" , "new": 1.0}]}, "finishReason": "STOP"}]}'
    )
    gem.always = either(whole(odd), [*stream(b"data: " + odd + b"\r\n\r\n"), LAST_CHUNK])
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}", gem.url)

    assert (await ask(http, base, NATIVE)).body == odd
    assert (await ask(http, base, NATIVE_STREAM)).body == b"data: " + odd + b"\n\n"


async def test_o20_a_native_body_that_is_no_json_is_refused_where_hooks_look(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First]
) -> None:
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}", gem.url)
    for body in (b"{contents: []}", b"[]", b'{"contents": [],}'):
        async with http.post(base + NATIVE.path, data=body) as response:
            assert response.status == 400

    assert gem.requests == []


async def test_o20_a_client_that_leaves_is_observed(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, first: type[First]
) -> None:
    gem.always = [*stream(message("fi", None)), None]
    base = await serve(f"plugins: {{first: {{}}, {SERVED}}}", gem.url)
    async with http.post(base + CHAT_STREAM.path, json=CHAT_STREAM.body()) as response:
        await response.content.readline()
    while not first.answers:
        await asyncio.sleep(0)
    (answer,) = first.answers

    assert (answer.status, answer.text, answer.finish_reason) == (499, "fi", None)


@each_surface
async def test_o20_a_hook_adds_a_header_to_the_response(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, monkeypatch: pytest.MonkeyPatch, surface: Surface
) -> None:
    class Named(Scripted):
        async def on_call(self, model: str, body: dict[str, Any], context: RequestContext) -> None:
            context.response_headers["x-acme-project"] = context.surface

    install(monkeypatch, named=Named)
    base = await serve(f"plugins: {{named: {{}}, {SERVED}}}", gem.url)
    reply = await ask(http, base, surface)

    assert_whole(reply)
    assert reply.headers["x-acme-project"] == surface.name


@pytest.mark.parametrize("fault", ["raises", "hangs", "refuses"])
async def test_o20_an_observer_that_fails_hurts_neither_client_nor_the_next(
    http: aiohttp.ClientSession,
    serve: Serve,
    gem: FakeGem,
    monkeypatch: pytest.MonkeyPatch,
    event_lines: list[dict[str, Any]],
    fault: str,
) -> None:
    seen: list[str] = []

    class Failing(Scripted):
        async def on_answer(self, answer: FinishedAnswer, context: RequestContext) -> None:
            if fault == "hangs":
                await asyncio.sleep(60)
            raise Forbidden("no") if fault == "refuses" else KeyError("a client's text")

    class Next(Scripted):
        async def on_answer(self, answer: FinishedAnswer, context: RequestContext) -> None:
            seen.append(answer.text)

    install(monkeypatch, failing=Failing, next=Next)
    base = await serve(f"plugins: {{failing: {{deadline: 0.05}}, next: {{}}, {SERVED}}}", gem.url)
    assert_whole(await ask(http, base, CHAT))
    await serve.stop()

    assert seen == ["fine"]
    (line,) = event_lines
    assert line["message"].startswith("plugin failing: on_answer ")
    assert line["message"].endswith("; consequence: nothing")
    reason = "hangs" if fault == "hangs" else "raises"
    assert serve.app[SERVICES].statistics.hook_failures == {("failing", "on_answer", reason): 1}


@pytest.mark.parametrize("hook", ["request", "call"])
async def test_o20_a_hook_before_the_call_has_a_deadline(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    class Hanging(Scripted):
        async def on_request(self, body: dict[str, Any], context: RequestContext) -> None:
            await asyncio.sleep(60 if hook == "request" else 0)

        async def on_call(self, model: str, body: dict[str, Any], context: RequestContext) -> None:
            await asyncio.sleep(60 if hook == "call" else 0)

    install(monkeypatch, hanging=Hanging)
    for policy, status in (("refuse", 500), ("ignore", 200)):
        options = f"{{on_error: {policy}, deadline: 0.05}}"
        base = await serve(f"plugins: {{hanging: {options}, {SERVED}}}", gem.url)
        for surface in (CHAT, NATIVE):
            assert (await ask(http, base, surface)).status == status


async def test_o20_without_hooks_there_is_nothing(serve: Serve) -> None:
    await serve("plugins: {chat: {}, hello: {}}")

    assert serve.app[SERVICES].hooks is None


async def test_o20_a_plugin_with_hooks_needs_their_options(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bare(Plugin):
        async def on_answer(self, answer: FinishedAnswer, context: RequestContext) -> None: ...

    install(monkeypatch, bare=Bare)
    with pytest.raises(Exception, match=r"plugin 'bare': it has hooks \(on_answer\), so its Config must be"):
        await serve("plugins: {bare: {}}")
