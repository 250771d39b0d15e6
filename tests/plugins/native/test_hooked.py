"""Hooks on native answers in their odd forms; tests/exchange/test_hooks.py holds what all surfaces share."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from gateway.exchange.hooks import Answering, HookOptions, StopAnswer
from gateway.gemini.events import Event, Finished, TextDelta, TurnEnded, TurnStarted
from gateway.plugin import Plugin
from tests.support.fakegem import LAST_CHUNK, FakeGem, message, stream, whole
from tests.support.hooks import SERVED, ask, install
from tests.support.servers import Serve
from tests.support.surfaces import NATIVE, NATIVE_STREAM


class Louder(Plugin):
    """Writes text in capitals, ends at `stop`, and says hello and goodbye where it is asked to."""

    Config = HookOptions
    speaks = False

    async def on_event(self, event: Event, answer: Answering) -> Event | Sequence[Event] | None:
        match event:
            case TextDelta(text="stop"):
                raise StopAnswer("content_filter", "no more")
            case TextDelta():
                return replace(event, text=event.text.upper())
            case TurnStarted() if self.speaks:
                return [event, TextDelta(0, "hello ")]
            case Finished() if self.speaks:
                return [TextDelta(event.index, " goodbye"), event]
            case TurnEnded() if self.speaks:
                return [TextDelta(0, " after all"), event]
        return event


@pytest.fixture
async def gem() -> AsyncIterator[FakeGem]:
    upstream = FakeGem()
    await upstream.start()
    yield upstream
    await upstream.stop()


@pytest.fixture
def louder(monkeypatch: pytest.MonkeyPatch) -> type[Louder]:
    plugin = type("Plugged", (Louder,), {})
    install(monkeypatch, louder=plugin)
    return plugin


def candidate(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return message() | {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **fields}]}


@pytest.mark.usefixtures("louder")
async def test_o20_a_changed_text_keeps_what_else_its_part_has(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    gem.always = whole(
        candidate({"text": "a", "thoughtSignature": "s"}, {"new": 1}, finishReason="STOP", avgLogprobs=-1)
    )
    base = await serve(f"plugins: {{louder: {{}}, {SERVED}}}", gem.url)
    answer = (await ask(http, base, NATIVE)).json

    assert answer["candidates"] == [
        {
            "content": {"parts": [{"text": "A", "thoughtSignature": "s"}, {"new": 1}], "role": "model"},
            "finishReason": "STOP",
            "avgLogprobs": -1,
        }
    ]
    assert answer["responseId"] == "r"


@pytest.mark.usefixtures("louder")
async def test_o20_an_array_of_messages_is_one_answer(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    gem.always = whole([message("a", None), message("stop", None), message("c")])
    base = await serve(f"plugins: {{louder: {{}}, {SERVED}}}", gem.url)
    path = NATIVE_STREAM.path.partition("?")[0]
    async with http.post(base + path, json=NATIVE.body()) as response:
        messages = await response.json()

    assert len(messages) == 2
    assert messages[0]["candidates"][0]["content"]["parts"] == [{"text": "A"}]
    assert messages[1]["candidates"][0]["finishReason"] == "SAFETY"
    assert messages[1]["candidates"][0]["finishMessage"] == "no more"


async def test_o20_events_that_a_hook_adds_are_parts(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, louder: type[Louder]
) -> None:
    louder.speaks = True
    gem.always = lambda request: (
        [*stream(message("a", None), message("b")), LAST_CHUNK]
        if b":stream" in request
        else whole(message("a"))
    )
    base = await serve(f"plugins: {{louder: {{}}, {SERVED}}}", gem.url)

    assert (await ask(http, base, NATIVE_STREAM)).text == "hello AB goodbye after all"
    assert (await ask(http, base, NATIVE)).json["candidates"][0]["content"]["parts"] == [
        {"text": text} for text in ("hello ", "A", " goodbye")
    ]


@pytest.mark.usefixtures("louder")
@pytest.mark.parametrize(
    "body",
    [
        b'{"promptFeedback": {"blockReason": "SAFETY"}}',
        b'{"candidates": 5}',
        b'{"candidates": [5]}',
        b"[]",
        b"5",
    ],
)
async def test_o20_an_answer_of_another_form_passes(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, body: bytes
) -> None:
    gem.always = whole(body)
    base = await serve(f"plugins: {{louder: {{}}, {SERVED}}}", gem.url)

    assert (await ask(http, base, NATIVE)).body == body


@pytest.mark.usefixtures("louder")
async def test_o20_an_answer_that_is_no_json_is_an_error(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    gem.always = whole(b"<html>")
    base = await serve(f"plugins: {{louder: {{}}, {SERVED}}}", gem.url)

    assert (await ask(http, base, NATIVE)).status == 502


@pytest.mark.usefixtures("louder")
async def test_o20_other_methods_pass_with_their_bytes(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    gem.always = whole(b'{"totalTokens" : 3}')
    base = await serve(f"plugins: {{louder: {{}}, {SERVED}}}", gem.url)
    async with http.post(
        base + NATIVE.path.replace("generateContent", "countTokens"), json=NATIVE.body()
    ) as response:
        assert await response.read() == b'{"totalTokens" : 3}'
