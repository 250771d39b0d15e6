"""Faults in the middle of an answer that streams."""

import asyncio
import json

import pytest

from tests.support.fakegem import (
    LAST_CHUNK,
    STREAM_HEAD,
    Step,
    chunk,
    close,
    event,
    good,
    head,
    message,
    pause,
    reset,
    stream,
    until,
)
from tests.support.rawc import RawClient
from tests.support.site import Site
from tests.support.surfaces import (
    CHAT,
    CHAT_STREAM,
    MESSAGES,
    MESSAGES_STREAM,
    NATIVE_STREAM,
    RESPONSES_STREAM,
    STREAMS,
    TRANSLATED,
    Surface,
    assert_broken_off,
    assert_refused,
    assert_whole,
)
from tests.support.waiting import eventually

DIALECTS = pytest.mark.parametrize("surface", STREAMS)
ALL_STREAMS = pytest.mark.parametrize("surface", [*STREAMS, NATIVE_STREAM])
BEGUN = (message("one ", None), message("two ", None), message("three ", None))


async def assert_charged(site: Site) -> None:
    """Check that the last call failed, and that at least the counted tokens are in the ledger."""
    assert (await site.outcomes())[-1] == "error"
    row = site.rows()[-1]
    assert row.prompt >= 10
    assert row.completion >= 5


@pytest.mark.row("U10")
@DIALECTS
@pytest.mark.parametrize("fault", [reset, close])
async def test_u10_an_end_before_the_first_event_is_retried(
    site: Site, surface: Surface, fault: Step
) -> None:
    await site.start()
    site.upstream.queue.append([STREAM_HEAD, fault])

    assert_whole(await site.ask(surface))
    assert await site.outcomes() == ["error", "ok"]


@pytest.mark.row("U11")
@ALL_STREAMS
async def test_u11_a_reset_in_the_middle_is_an_error_event(site: Site, surface: Surface) -> None:
    await site.start()
    site.upstream.queue.append([*stream(*BEGUN), reset])

    reply = await site.ask(surface)

    assert_broken_off(reply)
    await assert_charged(site)


@pytest.mark.row("U12")
@ALL_STREAMS
async def test_u12_a_clean_end_without_a_reason_is_no_success(site: Site, surface: Surface) -> None:
    await site.start()
    ended = head(content_type="text/event-stream", connection="close")
    site.upstream.queue.append([ended, *map(event, BEGUN), close])

    reply = await site.ask(surface)

    assert_broken_off(reply, "upstream_incomplete")
    assert reply.text == "one two three "
    await assert_charged(site)


@pytest.mark.row("U13")
@ALL_STREAMS
async def test_u13_a_chunked_body_without_its_end_is_no_success(site: Site, surface: Surface) -> None:
    await site.start()
    site.upstream.queue.append([*stream(*BEGUN), close])

    assert_broken_off(await site.ask(surface), "upstream_incomplete")
    await assert_charged(site)


@pytest.mark.row("U13")
@DIALECTS
async def test_u13_a_chunk_that_is_cut_is_no_success(site: Site, surface: Surface) -> None:
    await site.start()
    site.upstream.queue.append([*stream(*BEGUN), chunk(event(message()))[:-20], close])

    assert_broken_off(await site.ask(surface))


SIGNS = {"/v1/messages": b"event: ping\n", "/v1/responses": b"event: response.in_progress\n"}
"""Frames of a silence, where they are not comments: an agent's idle timer counts events only."""


@pytest.mark.row("U15", "G22")
@pytest.mark.parametrize("surface", TRANSLATED)
async def test_u15_signs_bridge_the_silence_before_the_first_byte(site: Site, surface: Surface) -> None:
    await site.start(more="stream: {first_byte_grace: 0.05, keep_alive: 0.05}\n")
    thought = asyncio.Event()
    site.upstream.queue.append(lambda request: [until(thought), *good(request)])

    asking = asyncio.create_task(site.ask(surface))
    await eventually(lambda: site.upstream.requests)
    await asyncio.sleep(0.3)  # the silence itself
    thought.set()
    reply = await asking

    assert_whole(reply)
    if surface.streamed:
        assert reply.body.count(SIGNS.get(surface.path, b": keep-alive\n\n")) >= 2


@pytest.mark.row("U16")
@pytest.mark.parametrize("surface", TRANSLATED)
async def test_u16_silence_for_ever_is_a_timeout(site: Site, surface: Surface) -> None:
    await site.start(idle=0.2)
    site.upstream.queue.append([None])

    assert_refused(await site.ask(surface), 504, "upstream_timeout")
    assert await site.outcomes() == ["error"]
    await eventually(lambda: site.upstream.connections[0].writer.is_closing())


@pytest.mark.row("U16")
@DIALECTS
async def test_u16_silence_after_the_first_comment_is_an_error_event(site: Site, surface: Surface) -> None:
    await site.start(idle=0.3, more="stream: {first_byte_grace: 0.05, keep_alive: 0.05}\n")
    site.upstream.queue.append([STREAM_HEAD, None])

    assert_broken_off(await site.ask(surface), "upstream_timeout")


@pytest.mark.row("U17")
@ALL_STREAMS
async def test_u17_silence_after_the_first_event_is_an_error_event(site: Site, surface: Surface) -> None:
    await site.start(idle=0.2)
    site.upstream.queue.append([*stream(message("one ", None)), None])

    reply = await site.ask(surface)

    assert_broken_off(reply, "upstream_timeout")
    assert reply.text == "one "
    await eventually(lambda: site.upstream.connections[0].writer.is_closing())


@pytest.mark.row("U18")
async def test_u18_an_event_is_delivered_with_its_last_byte(site: Site) -> None:
    await site.start()
    delivered = asyncio.Event()
    first = [chunk(bytes([byte])) for byte in event(message("drip ", None))]
    site.upstream.queue.append(
        [STREAM_HEAD, *first, until(delivered), chunk(event(message("drop"))), LAST_CHUNK]
    )

    async with await RawClient.open(site.base) as client:
        body = json.dumps(CHAT_STREAM.body()).encode()
        await client.post(CHAT_STREAM.path, body, f"Authorization: Bearer {site.key}")
        assert (await client.head())[0] == 200
        async for piece in client.chunks():
            if b"drip" in piece:
                delivered.set()
            if b"drop" in piece:
                break
        else:
            pytest.fail("the second event did not arrive")

    assert delivered.is_set()


@pytest.mark.row("U18")
@ALL_STREAMS
async def test_u18_a_drip_without_an_end_is_a_timeout(site: Site, surface: Surface) -> None:
    await site.start(total=0.3)
    drip = [step for _ in range(1000) for step in (pause(0.02), chunk(b":"))]
    site.upstream.queue.append([*stream(message("one ", None)), *drip])

    assert_broken_off(await site.ask(surface), "upstream_timeout")
    await assert_charged(site)


@pytest.mark.row("U18")
@pytest.mark.parametrize("surface", [CHAT, MESSAGES])
async def test_u18_a_whole_answer_that_drips_is_a_timeout(site: Site, surface: Surface) -> None:
    await site.start(total=0.3)
    drip = [step for _ in range(1000) for step in (pause(0.02), b" ")]
    site.upstream.queue.append([head(content_type="application/json", content_length=1000), *drip])

    assert_refused(await site.ask(surface), 504, "upstream_timeout")


WORDS = "naïve 日本語 🙂"
SPLIT = event(message("naïve ", None)) + event(
    {"candidates": [{"content": {"parts": [{"text": "日本語 🙂"}]}, "finishReason": "STOP"}]}
).replace(json.dumps("日本語 🙂").encode(), '"日本語 🙂"'.encode())


@pytest.mark.row("U19", "U23")
@DIALECTS
async def test_u19_every_byte_on_its_own(site: Site, surface: Surface) -> None:
    await site.start()
    site.upstream.queue.append([STREAM_HEAD, *(chunk(bytes([byte])) for byte in SPLIT), LAST_CHUNK])

    assert_whole(await site.ask(surface), WORDS)


@pytest.mark.row("U19", "U23")
@DIALECTS
async def test_u19_cut_at_every_offset(site: Site, surface: Surface) -> None:
    await site.start()
    turns = asyncio.Semaphore(8)

    async def cut(offset: int) -> None:
        async with turns:
            own = SPLIT[:offset], SPLIT[offset:]
            site.upstream.queue.append([STREAM_HEAD, chunk(own[0]), pause(0), chunk(own[1]), LAST_CHUNK])
            assert_whole(await site.ask(surface), WORDS)

    await asyncio.gather(*(cut(offset) for offset in range(1, len(SPLIT))))


PLAIN = json.dumps(message()).encode()
FORMS = {
    "many in one segment": event(message("fi", None)) + event(message("ne")),
    "lf": b"data: " + PLAIN + b"\n\n",
    "cr": b"data: " + PLAIN + b"\r\r",
    "crlf": b"data: " + PLAIN + b"\r\n\r\n",
    "mixed line ends": b"data: " + PLAIN + b"\r\n\n",
    "byte order mark": b"\xef\xbb\xbfdata: " + PLAIN + b"\n\n",
    "comments": b": hi\n\n:\n: there\ndata: " + PLAIN + b"\n: bye\n\n: end\n\n",
    "no space": b"data:" + PLAIN + b"\n\n",
    "several lines": b"data: " + PLAIN.replace(b", ", b",\ndata: ") + b"\n\n",
    "other fields": b"id: 7\nevent: message\nretry: 10\ndata: " + PLAIN + b"\n\n",
    "no blank line at the end": b"data: " + PLAIN,
}


@pytest.mark.row("U20")
@pytest.mark.parametrize("form", FORMS)
async def test_u20_all_forms_of_an_event(site: Site, form: str) -> None:
    await site.start()

    for surface in STREAMS:
        site.upstream.queue.append([STREAM_HEAD, chunk(FORMS[form]), LAST_CHUNK])
        assert_whole(await site.ask(surface))
        data = FORMS[form]
        site.upstream.queue.append(
            [STREAM_HEAD, *(chunk(data[i : i + 7]) for i in range(0, len(data), 7)), LAST_CHUNK]
        )
        assert_whole(await site.ask(surface))


BROKEN_EVENTS = {
    "invalid utf-8": b'data: {"candidates":[{"content":{"parts":[{"text":"\xff\xfe"}]}}]}\r\n\r\n',
    "overlong utf-8": b'data: {"candidates":[{"content":{"parts":[{"text":"\xc0\xaf"}]}}]}\r\n\r\n',
    "cut json": event(message("secret text"))[:-30] + b"\r\n\r\n",
    "half a value": b'data: {"candidates":\r\n\r\n',
    "a page": b"data: <html>secret text</html>\r\n\r\n",
    "a list in its place": b'data: {"candidates": {"0": "secret text"}}\r\n\r\n',
}


@pytest.mark.row("U23", "U24")
@DIALECTS
@pytest.mark.parametrize("kind", BROKEN_EVENTS)
async def test_u24_an_event_that_cannot_be_read_is_an_error_event(
    site: Site, surface: Surface, kind: str
) -> None:
    await site.start()
    site.upstream.queue.append([*stream(message("one ", None), BROKEN_EVENTS[kind]), LAST_CHUNK])

    reply = await site.ask(surface)

    assert_broken_off(reply, "upstream_bad_response")
    assert b"secret" not in reply.body
    await assert_charged(site)


@pytest.mark.row("U23", "U24")
@pytest.mark.parametrize("surface", [CHAT_STREAM, MESSAGES_STREAM, RESPONSES_STREAM])
async def test_u24_an_unreadable_first_event_is_retried(site: Site, surface: Surface) -> None:
    await site.start()
    site.upstream.queue.append([*stream(BROKEN_EVENTS["cut json"]), LAST_CHUNK])

    assert_whole(await site.ask(surface))
    assert await site.outcomes() == ["error", "ok"]


STORM = event({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}})


@pytest.mark.row("U49")
@DIALECTS
async def test_u49_an_error_in_a_stream_is_retried_while_nothing_was_sent(
    site: Site, surface: Surface
) -> None:
    await site.start()
    site.upstream.queue.append([*stream(STORM), LAST_CHUNK])

    assert_whole(await site.ask(surface))
    assert await site.outcomes() == ["error", "ok"]


@pytest.mark.row("U49")
@DIALECTS
async def test_u49_an_error_after_content_is_an_error_event(site: Site, surface: Surface) -> None:
    await site.start()
    site.upstream.queue.append([*stream(message("one ", None), STORM), LAST_CHUNK])

    reply = await site.ask(surface)

    assert_broken_off(reply, "overloaded")
    assert reply.text == "one "
    await assert_charged(site)
