"""The checks that survive every fault can fail."""

import asyncio
import base64
import urllib.parse
from pathlib import Path

import pytest

from tests.support.fakegem import FakeGem, message, whole
from tests.support.site import Site, WatchedServe, all_returned, shows, still_held
from tests.support.surfaces import (
    CHAT,
    CHAT_STREAM,
    MESSAGES,
    RESPONSES,
    Reply,
    Surface,
    assert_broken_off,
    assert_refused,
    assert_whole,
)

SECRET = "AQ.Ab8canaryx7f3c9d01e2b4a65897"


@pytest.mark.parametrize(
    "text",
    [
        f"key={SECRET};",
        f"...{SECRET[-9:]}",
        SECRET[-14:-4],
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"x:{SECRET}".encode()).decode(),
        urllib.parse.quote(SECRET),
    ],
)
def test_a_secret_shows_in_many_forms(text: str) -> None:
    assert shows(text.encode(), SECRET)


@pytest.mark.parametrize("text", ["", "AQ.****", SECRET[:10], "7f3c9d0 7f3c 9d01e2b"])
def test_what_is_no_secret_does_not_show(text: str) -> None:
    assert not shows(text.encode(), SECRET)


async def test_what_is_held_is_named(tmp_path: Path) -> None:
    serve, upstream = WatchedServe(), FakeGem()
    await upstream.start()
    site = Site(serve, tmp_path, upstream)
    await site.start()
    assert serve.baseline is not None
    await site.check()
    await all_returned(serve.app, serve.baseline)

    site.services.admission.in_progress += 1
    tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(5)]
    held = still_held(serve.app, serve.baseline)
    site.services.admission.in_progress -= 1
    for task in tasks:
        task.cancel()
    await serve.stop()
    await upstream.stop()

    assert held[0] == "1 requests in progress"
    assert " tasks beyond " in held[1]


async def test_a_call_without_a_row_is_noticed(tmp_path: Path) -> None:
    serve, upstream = WatchedServe(), FakeGem()
    await upstream.start()
    site = Site(serve, tmp_path, upstream)
    await site.start()
    await site.ask()
    upstream.requests += [b"", b""]

    with pytest.raises(AssertionError, match="has no row"):
        await site.check()
    await serve.stop()
    await upstream.stop()


def reply(surface: Surface, body: bytes, status: int = 200) -> Reply:
    return Reply(surface, status, {"content-type": "application/json"}, body)


END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
PIECE = b'data: {"choices":[{"delta":{"content":"fine"},"finish_reason":null}]}\n\n'
ERROR = b'data: {"error":{"message":"m","code":"c"}}\n\n'


def test_a_broken_stream_is_not_whole() -> None:
    assert_whole(reply(CHAT_STREAM, PIECE + END))
    for body in (PIECE, PIECE + ERROR, PIECE + END + END, PIECE + END[:-2], PIECE + END + ERROR):
        with pytest.raises((AssertionError, KeyError)):
            assert_whole(reply(CHAT_STREAM, body))


def test_a_whole_stream_is_not_broken_off() -> None:
    assert_broken_off(reply(CHAT_STREAM, PIECE + ERROR), "c")
    for body in (PIECE, PIECE + END, PIECE + ERROR + END, PIECE + ERROR + PIECE):
        with pytest.raises((AssertionError, KeyError)):
            assert_broken_off(reply(CHAT_STREAM, body))


def test_an_error_of_another_dialect_is_no_refusal() -> None:
    openai = b'{"error":{"message":"m","type":"t","param":null,"code":"c"}}'
    assert_refused(reply(CHAT, openai, 502), 502, "c")
    assert_refused(reply(RESPONSES, openai, 502), 502)
    for surface, body, status in (
        (MESSAGES, openai, 502),
        (CHAT, openai, 503),
        (CHAT, b'{"error":{"message":"m"}}', 502),
        (CHAT, b'{"error":{"message":"","type":"t","param":null,"code":"c"}}', 502),
    ):
        with pytest.raises((AssertionError, KeyError)):
            assert_refused(reply(surface, body, status), 502)


def test_a_message_has_text_and_reason() -> None:
    (answer,) = whole(message("fine"))
    assert isinstance(answer, bytes)
    assert answer.count(b"fine") == answer.count(b"STOP") == 1
