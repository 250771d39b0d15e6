"""Answers that are complete as HTTP, or nearly, and yet not what Gemini answers."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.fakegem import (
    COUNTS,
    LAST_CHUNK,
    FakeGem,
    Script,
    Step,
    chunk,
    close,
    either,
    event,
    good,
    head,
    message,
    refusal,
    stream,
    whole,
)
from tests.support.site import Site
from tests.support.surfaces import (
    CHAT,
    CHAT_STREAM,
    MESSAGES,
    NATIVE,
    RESPONSES,
    STREAMS,
    TRANSLATED,
    UNARY,
    Reply,
    Surface,
    assert_refused,
    assert_whole,
)
from tests.support.waiting import eventually

ALL = pytest.mark.parametrize("surface", TRANSLATED)
SOME = pytest.mark.parametrize("surface", [CHAT, CHAT_STREAM, MESSAGES])


@pytest.mark.row("U14")
@pytest.mark.parametrize("surface", UNARY)
async def test_u14_a_body_shorter_than_its_length_is_tried_twice(site: Site, surface: Surface) -> None:
    await site.start()
    site.upstream.always = [head(content_type="application/json", content_length=100) + b'{"a":', close]

    assert_refused(await site.ask(surface), 502, "upstream_incomplete")
    assert await site.outcomes() == ["error", "error"]


@pytest.mark.row("U14")
@pytest.mark.parametrize("surface", UNARY)
async def test_u14_the_second_attempt_may_succeed(site: Site, surface: Surface) -> None:
    await site.start()
    site.upstream.queue.append([head(content_type="application/json", content_length=100) + b'{"a":', close])

    assert_whole(await site.ask(surface))
    assert await site.outcomes() == ["error", "ok"]


PAGE = b"<html><body>Sign in to the network</body></html>"


@pytest.mark.row("U25")
@ALL
@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "502 Bad Gateway"])
async def test_u25_a_page_is_not_repeated(site: Site, surface: Surface, status: str) -> None:
    await site.start()
    site.upstream.always = whole(PAGE, status, "text/html; charset=utf-8")

    reply = await site.ask(surface)

    assert_refused(reply, 403 if status.startswith("403") else 502)
    assert b"<" not in reply.body
    assert b"Sign in" not in reply.body
    assert set(await site.outcomes()) == {"error"}


@pytest.mark.row("U25")
@ALL
async def test_u25_a_page_that_calls_itself_json(site: Site, surface: Surface) -> None:
    await site.start()
    site.upstream.always = whole(PAGE)

    reply = await site.ask(surface)

    assert_refused(reply, 502)
    assert b"<" not in reply.body


JSON_BODIES = {
    "object": whole(message()),
    "array": whole([message("fi", None), message("ne")]),
    "pretty": whole(json.dumps([message("fi", None), message("ne")], indent=1).encode()),
}


@pytest.mark.row("U26")
@pytest.mark.parametrize("surface", STREAMS)
@pytest.mark.parametrize("kind", JSON_BODIES)
async def test_u26_json_in_answer_to_a_stream_is_read(site: Site, surface: Surface, kind: str) -> None:
    await site.start()
    site.upstream.queue.append(JSON_BODIES[kind])

    assert_whole(await site.ask(surface))
    assert await site.outcomes() == ["ok"]


@pytest.mark.row("U26")
@pytest.mark.parametrize("surface", UNARY)
async def test_u26_a_stream_in_answer_to_a_unary_call_is_refused(site: Site, surface: Surface) -> None:
    await site.start()
    site.upstream.always = [*stream(message("fi", None), message("ne")), LAST_CHUNK]

    assert_refused(await site.ask(surface), 502, "upstream_bad_response")


EMPTY: dict[str, object] = {
    "no body": b"",
    "object": {},
    "array": [],
    "null": None,
    "number": 7,
    "text": "hello",
    "no candidates": {"candidates": [], "usageMetadata": COUNTS},
    "candidates of null": {"candidates": None},
    "candidates as object": {"candidates": {}},
    "a candidate without anything": {"candidates": [{}]},
    "a candidate of null": {"candidates": [None]},
    "no content": message(None),
    "no content, cut": message(None, "MAX_TOKENS"),
    "content of null": {"candidates": [{"content": None, "finishReason": "STOP"}]},
    "content without parts": {"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}]},
    "no parts": {"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}]},
    "parts of null": {"candidates": [{"content": {"parts": None}, "finishReason": "STOP"}]},
    "an empty part": {"candidates": [{"content": {"parts": [{}]}, "finishReason": "STOP"}]},
    "an empty text": message(""),
    "an unknown part": {"candidates": [{"content": {"parts": [{"hologram": {}}]}, "finishReason": "STOP"}]},
}


@pytest.mark.row("U27")
@pytest.mark.parametrize("kind", EMPTY)
async def test_u27_an_empty_answer_is_empty_or_refused(site: Site, kind: str) -> None:
    await site.start()
    payload = EMPTY[kind]
    streamed = [*stream(payload), LAST_CHUNK] if payload != b"" else [*stream(), LAST_CHUNK]
    site.upstream.always = either(whole(payload), streamed)

    for surface in TRANSLATED:
        reply = await site.ask(surface)
        if reply.status == 200:
            assert_whole(reply, "")
        else:
            assert_refused(reply, 502)


FINISHES = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "OTHER": "stop",
    "MALFORMED_FUNCTION_CALL": "stop",
    "UNEXPECTED_TOOL_CALL": "stop",
    "FINISH_REASON_UNSPECIFIED": "stop",
    "SOLAR_FLARE": "stop",
}


def chat_finish(reply: Reply) -> str:
    """Return the one finish reason of a chat answer."""
    if not reply.surface.streamed:
        return str(reply.json["choices"][0]["finish_reason"])
    chunks = [event for event in reply.events if event != "[DONE]" and event["choices"]]
    (reason,) = [c["choices"][0]["finish_reason"] for c in chunks if c["choices"][0]["finish_reason"]]
    return str(reason)


FAILED = {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"}
"""Reasons for which an answer has failed."""


def _response(reply: Reply) -> Any:
    """Return the response object, of a stream that in its last event."""
    if not reply.surface.streamed:
        return reply.json
    assert reply.events[-1]["type"] == "response.failed"
    return reply.events[-1]["response"]


@pytest.mark.row("U28")
@pytest.mark.parametrize("reason", FINISHES)
async def test_u28_every_reason_has_its_counterpart(site: Site, reason: str) -> None:
    await site.start()
    answer = message("fine", reason)
    site.upstream.always = either(whole(answer), [*stream(answer), LAST_CHUNK])

    for surface in TRANSLATED:
        reply = await site.ask(surface)
        if surface.name == "responses" and reason in FAILED:
            assert _response(reply)["status"] == "failed"
            continue
        assert_whole(reply, reply.text)
        assert reply.text.startswith("fine")
        if surface.name == "chat":
            assert chat_finish(reply) == FINISHES[reason]
    unknown = {reason: len(TRANSLATED)} if reason == "SOLAR_FLARE" else {}
    await eventually(
        lambda: site.services.statistics.unknown_reasons == unknown
    )  # clients have the end before


@pytest.mark.row("U28")
@pytest.mark.parametrize("block", ["SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SOLAR_FLARE"])
async def test_u28_a_blocked_prompt_is_filtered(site: Site, block: str) -> None:
    await site.start()
    answer = {"promptFeedback": {"blockReason": block}, "usageMetadata": {"promptTokenCount": 10}}
    site.upstream.always = either(whole(answer), [*stream(answer), LAST_CHUNK])

    for surface in TRANSLATED:
        reply = await site.ask(surface)
        assert reply.status == 200
        if surface.name == "chat":
            assert chat_finish(reply) == "content_filter"
    assert set(await site.outcomes()) == {"ok"}


def counts(prompt: int | None, completion: int | None) -> dict[str, int]:
    named = {"promptTokenCount": prompt, "candidatesTokenCount": completion}
    return {name: count for name, count in named.items() if count is not None}


def told(text: str | None, reason: str | None, usage: dict[str, int] | None) -> bytes:
    """Return an event with its own usage, or none."""
    answer = message(text, reason)
    del answer["usageMetadata"]
    return event(answer | ({} if usage is None else {"usageMetadata": usage}))


ENDS: dict[str, tuple[list[bytes], tuple[int, int]]] = {
    "finish twice": ([told("fine", "STOP", counts(10, 5)), told(None, "STOP", counts(10, 5))], (10, 5)),
    "two reasons": ([told("fine", "STOP", counts(10, 5)), told(None, "MAX_TOKENS", None)], (10, 5)),
    "data after the finish": ([told("fi", "STOP", counts(10, 3)), told("ne", None, counts(10, 5))], (10, 5)),
    "usage after the finish": ([told("fine", "STOP", None), told(None, None, counts(10, 5))], (10, 5)),
    "usage twice": ([told("fi", None, counts(10, 2)), told("ne", "STOP", counts(10, 5))], (10, 5)),
    "usage that falls": ([told("fi", None, counts(10, 5)), told("ne", "STOP", counts(2, 1))], (10, 5)),
    "usage that vanishes": ([told("fi", None, counts(10, 5)), told("ne", "STOP", counts(10, None))], (10, 5)),
    "usage of zero": ([told("fi", None, counts(10, 5)), told("ne", "STOP", counts(0, 0))], (10, 5)),
    "negative usage": ([told("fi", None, counts(10, 5)), told("ne", "STOP", counts(-1, -9))], (10, 5)),
}


@pytest.mark.row("U29")
@pytest.mark.parametrize("kind", ENDS)
async def test_u29_one_finish_and_the_highest_usage(site: Site, kind: str) -> None:
    await site.start()
    events, (prompt, completion) = ENDS[kind]
    site.upstream.always = [*stream(*events), LAST_CHUNK]

    for surface in STREAMS:
        assert_whole(await site.ask(surface))
    usage = await site.ask(CHAT_STREAM, stream_options={"include_usage": True})

    assert_whole(usage)
    (sums,) = [e["usage"] for e in usage.events if e != "[DONE]" and e.get("usage")]
    assert (sums["prompt_tokens"], sums["completion_tokens"]) == (prompt, completion)
    assert set(await site.outcomes()) == {"ok"}
    assert all(row.prompt >= prompt and row.completion >= completion for row in site.rows())


@pytest.mark.row("U29")
async def test_u29_an_answer_without_usage_is_whole(site: Site) -> None:
    await site.start()
    bare = {"candidates": message()["candidates"]}
    site.upstream.always = either(whole(bare), [*stream(bare), LAST_CHUNK])

    for surface in TRANSLATED:
        assert_whole(await site.ask(surface))


HEADERS = {
    "5,000": b"".join(b"X-Header-%d: value\r\n" % number for number in range(5000)),
    "one of 100 KB": b"X-Header: " + b"v" * 100_000 + b"\r\n",
    "a name of 100 KB": b"X-" + b"h" * 100_000 + b": value\r\n",
}


@pytest.mark.row("U32")
@SOME
@pytest.mark.parametrize("kind", HEADERS)
async def test_u32_too_many_headers_are_refused(site: Site, surface: Surface, kind: str) -> None:
    await site.start()
    (answer,) = whole(message())
    assert isinstance(answer, bytes)
    site.upstream.always = [answer.replace(b"\r\n", b"\r\n" + HEADERS[kind], 1), close]

    assert_refused(await site.ask(surface), 502)


@pytest.mark.row("U33")
@SOME
async def test_u33_interim_answers_are_skipped(site: Site, surface: Surface) -> None:
    await site.start()
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n" * 50
    interim = early + b"HTTP/1.1 100 Continue\r\n\r\n"
    site.upstream.queue.append(lambda request: [interim, *good(request)])

    assert_whole(await site.ask(surface))
    assert await site.outcomes() == ["ok"]


@pytest.mark.row("U33")
@SOME
async def test_u33_a_change_of_protocol_is_refused(site: Site, surface: Surface) -> None:
    await site.start()
    site.upstream.always = [b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello"]

    assert_refused(await site.ask(surface), 502)


@pytest.mark.row("U34")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_u34_the_target_of_a_redirect_is_never_contacted(site: Site, status: int) -> None:
    target = FakeGem()
    await target.start()
    await site.start()
    site.upstream.always = [
        head(f"{status} Elsewhere", location=f"{target.url}/v1beta/models", content_length=0)
    ]

    for surface in TRANSLATED:
        assert_refused(await site.ask(surface), 502)

    assert target.connections == []
    await target.stop()


STATUSES = {
    500: 500, 502: 502, 503: 503, 504: 504, 529: 502, 599: 502, 418: 400, 451: 400,
}  # fmt: skip


@pytest.mark.row("U47")
@pytest.mark.parametrize("status", STATUSES)
async def test_u47_every_status_is_mapped(site: Site, status: int) -> None:
    await site.start()
    site.upstream.always = refusal(status, "UNKNOWN", "this time not")

    for surface in TRANSLATED:
        reply = await site.ask(surface)
        assert_refused(reply, 529 if surface.name == "messages" and status == 503 else STATUSES[status])


GARBAGE = {
    "no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "0xx": b"HTTP/1.1 042 Odd\r\nContent-Length: 0\r\n\r\n",
    "four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "an old page": b"<html>hello</html>",
    "noise": bytes(range(256)),
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
    "a chunk without size": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
}  # fmt: skip


@pytest.mark.row("U47")
@pytest.mark.parametrize("kind", GARBAGE)
async def test_u47_what_is_no_http_is_a_bad_gateway(site: Site, kind: str) -> None:
    await site.start()
    site.upstream.always = [GARBAGE[kind], close]

    for surface in (CHAT, CHAT_STREAM, MESSAGES, NATIVE):
        assert_refused(await site.ask(surface), 502)


def bare(version: str, payload: bytes, kind: str, *more: str) -> list[Step]:
    lines = [f"HTTP/{version} 200 OK", f"Content-Type: {kind}", *more, "", ""]
    return ["\r\n".join(lines).encode() + payload, close]


SSE = event(message("fi", None)) + event(message("ne"))
JSON = json.dumps(message()).encode()
FRAMES: dict[str, Any] = {
    "1.0 without length": lambda body, kind: bare("1.0", body, kind),
    "1.0 with keep-alive": lambda body, kind: bare("1.0", body, kind, "Connection: keep-alive", f"Content-Length: {len(body)}"),
    "no length": lambda body, kind: bare("1.1", body, kind, "Connection: close"),
    "no length and no word": lambda body, kind: bare("1.1", body, kind),
    "a broken promise": lambda body, kind: bare("1.1", body, kind, "Connection: keep-alive", "Keep-Alive: timeout=600", f"Content-Length: {len(body)}"),
    "close, but chunked": lambda body, kind: bare("1.1", chunk(body) + LAST_CHUNK, kind, "Connection: close", "Transfer-Encoding: chunked"),
}  # fmt: skip


@pytest.mark.row("U48")
@pytest.mark.parametrize("frame", FRAMES)
async def test_u48_old_and_careless_servers_are_understood(site: Site, frame: str) -> None:
    await site.start()
    site.upstream.always = either(
        FRAMES[frame](JSON, "application/json"), FRAMES[frame](SSE, "text/event-stream")
    )

    for surface in TRANSLATED:
        for _ in range(2):
            assert_whole(await site.ask(surface))
    assert set(await site.outcomes()) == {"ok"}


@pytest.mark.row("U49")
@pytest.mark.parametrize("surface", [CHAT, RESPONSES, MESSAGES])
async def test_u49_an_error_object_in_a_unary_200_is_no_answer(site: Site, surface: Surface) -> None:
    await site.start()
    failed = whole({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}})
    site.upstream.queue.append(failed)

    assert_whole(await site.ask(surface))
    assert await site.outcomes() == ["error", "ok"]


@pytest.mark.row("U32", "U47")
async def test_bad_answers_at_once_leave_good_ones_alone(site: Site) -> None:
    """Many at once, so that a confusion of connections would show."""
    await site.start()
    bad: list[Script] = [HEADERS_ANSWER, [GARBAGE["noise"], close], whole(PAGE, content_type="text/html")]
    site.upstream.queue.extend(bad * 10)

    replies = await asyncio.gather(*(site.ask(surface) for surface in TRANSLATED * 5))

    for reply in replies:
        if reply.status == 200:
            assert_whole(reply)
        else:
            assert_refused(reply, 502)


HEADERS_ANSWER: list[Step] = [b"HTTP/1.1 200 OK\r\n" + HEADERS["one of 100 KB"] + b"\r\n", close]
