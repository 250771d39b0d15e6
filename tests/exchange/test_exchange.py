"""Streams over sockets: time of the headers, keep-alive, failures, disconnects, retries."""

import asyncio
import json

import aiohttp
import pytest

from gateway.observability.request_log import RequestLog
from tests.support.servers import Fake, RawUpstream, Serve, chunked, whole
from tests.support.waiting import eventually

BODY = {"messages": [{"role": "user", "content": "hello"}], "stream": True}


def event(text: str | None = None, finish: str | None = None) -> bytes:
    parts = [] if text is None else [{"text": text}]
    candidate = {"content": {"parts": parts}, **({"finishReason": finish} if finish else {})}
    return b"data: " + json.dumps({"candidates": [candidate]}).encode() + b"\r\n\r\n"


END = b"0\r\n\r\n"


async def stream(http: aiohttp.ClientSession, base: str, body: object = BODY) -> tuple[int, str]:
    async with http.post(base + "/v1/chat/completions", json=body) as response:
        return response.status, await response.text()


async def test_chunks_reach_the_client_as_sse(http: aiohttp.ClientSession, gateway: str) -> None:
    async with http.post(gateway + "/v1/chat/completions", json=BODY) as response:
        text = await response.text()

        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["x-gateway-model"] == "gemini-flash-latest"
        assert text.endswith('"finish_reason":"stop","logprobs":null}]}\n\ndata: [DONE]\n\n')


async def test_bytes_cut_inside_characters_and_line_ends_change_nothing(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    base = await serve("", raw_upstream.url)
    data = event("😀") + event("b", "STOP")
    raw_upstream.scripts = [[*chunked(data), END]]
    _, expected = await stream(http, base)
    for size in (1, 7):
        pieces = [data[i : i + size] for i in range(0, len(data), size)]
        raw_upstream.scripts = [[*chunked(*pieces), END]]
        _, result = await stream(http, base)
        texts = [
            json.loads(line[6:])["choices"][0]["delta"].get("content") for line in result.split("\n\n")[:-2]
        ]
        assert texts == ["", "😀", "b", None]
    assert "😀" in expected


async def test_an_error_after_the_first_words_is_a_frame(http: aiohttp.ClientSession, gateway: str) -> None:
    for command, code in (
        ("error midstream", "overloaded"),
        ("cut", "upstream_incomplete"),
        ("cut clean", "upstream_incomplete"),
    ):
        status, text = await stream(
            http, gateway, {"messages": [{"role": "user", "content": f"[[{command}]]"}], "stream": True}
        )

        assert status == 200
        assert f'"code":"{code}"' in text.split("\n\n")[-2]
        assert "[DONE]" not in text


async def test_a_blocked_prompt_ends_properly(http: aiohttp.ClientSession, gateway: str) -> None:
    _, text = await stream(
        http, gateway, {"messages": [{"role": "user", "content": "[[blocked]]"}], "stream": True}
    )

    assert '"finish_reason":"content_filter"' in text
    assert text.endswith("data: [DONE]\n\n")


async def test_an_empty_stream_is_tried_again_and_then_a_502(
    http: aiohttp.ClientSession, gateway: str, fake: Fake
) -> None:
    status, text = await stream(
        http, gateway, {"messages": [{"role": "user", "content": "[[empty]]"}], "stream": True}
    )

    assert (status, json.loads(text)["error"]["code"]) == (502, "upstream_incomplete")
    assert fake.calls == 5


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_failure_before_the_first_byte_is_tried_again(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, streamed: bool
) -> None:
    base = await serve("", raw_upstream.url)
    busy = whole(b'{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}', b"503 Busy")
    good = [*chunked(event("yes", "STOP")), END] if streamed else whole(event("yes", "STOP")[6:])
    raw_upstream.scripts = [busy, [], good]
    status, text = await stream(http, base, {**BODY, "stream": streamed})

    assert status == 200
    assert "yes" in text
    assert len(raw_upstream.requests) == 3


async def test_an_error_inside_a_200_is_judged_like_a_status(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    base = await serve("", raw_upstream.url)
    error = b'{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}'
    for script, body in (
        (whole(error), {**BODY, "stream": False}),
        ([*chunked(b"data: " + error + b"\n\n"), END], BODY),
    ):
        raw_upstream.scripts = [script]
        status, text = await stream(http, base, body)

        assert (status, json.loads(text)["error"]["message"]) == (429, "slow down")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (whole(b"<html>", kind=b"text/html"), "upstream_bad_response"),
        (whole(b"[1"), "upstream_bad_response"),
        (
            [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"],
            "upstream_incomplete",
        ),
        ([b"nonsense\r\n\r\n"], "upstream_bad_response"),
        (
            [b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"],
            "upstream_bad_response",
        ),
    ],
)
async def test_an_upstream_that_makes_no_sense_is_a_502(
    http: aiohttp.ClientSession,
    serve: Serve,
    raw_upstream: RawUpstream,
    answer: list[bytes | None],
    code: str,
) -> None:
    base = await serve("", raw_upstream.url)
    raw_upstream.scripts = [answer]
    status, text = await stream(http, base, {**BODY, "stream": False})

    assert (status, json.loads(text)["error"]["code"]) == (502, code)
    assert "<html>" not in text


async def test_an_unreachable_upstream_is_a_502(http: aiohttp.ClientSession, serve: Serve) -> None:
    status, text = await stream(http, await serve("", "http://127.0.0.1:9"))

    assert (status, json.loads(text)["error"]["code"]) == (502, "upstream_unreachable")


async def test_a_silent_upstream_is_a_504(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [[None]]
    base = await serve("", raw_upstream.url, idle=0.05)
    status, text = await stream(http, base, {**BODY, "stream": False})

    assert (status, json.loads(text)["error"]["code"]) == (504, "upstream_timeout")


async def test_silence_is_kept_alive_and_a_late_failure_is_a_frame(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    base = await serve("stream: {first_byte_grace: 0.02, keep_alive: 0.02}", raw_upstream.url)
    raw_upstream.scripts = [[None]]
    async with http.post(base + "/v1/chat/completions", json=BODY) as response:
        assert response.status == 200
        assert await response.content.readexactly(28) == b": keep-alive\n\n" * 2
    await eventually(raw_upstream.left.is_set)


async def test_a_failure_after_the_grace_is_a_frame_of_the_stream(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    base = await serve("stream: {first_byte_grace: 0.02, keep_alive: 0.02}", raw_upstream.url, idle=0.2)
    raw_upstream.scripts = [[None]]
    status, text = await stream(http, base)

    assert status == 200
    assert text.startswith(": keep-alive\n\n")
    assert '"code":"upstream_timeout"' in text.split("\n\n")[-2]


@pytest.mark.parametrize(
    "script", [[None], [*chunked(event("a")), None]], ids=["before the first byte", "midstream"]
)
@pytest.mark.parametrize("streamed", [True, False])
async def test_the_upstream_call_ends_when_the_client_leaves(
    serve: Serve, raw_upstream: RawUpstream, script: list[bytes | None], streamed: bool
) -> None:
    base = await serve("", raw_upstream.url)
    raw_upstream.scripts = [script]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
    body = json.dumps({**BODY, "stream": streamed}).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: %d\r\n\r\n%s"
        % (len(body), body)
    )
    await eventually(lambda: raw_upstream.requests)
    if streamed and len(script) > 1:
        await reader.readuntil(b'"content":"a"')
    writer.close()

    await eventually(raw_upstream.left.is_set)


async def test_a_client_that_reads_nothing_is_cut_off(
    serve: Serve, raw_upstream: RawUpstream, request_lines: list[RequestLog]
) -> None:
    base = await serve(
        "stream: {first_byte_grace: 0.1, keep_alive: 0.1, write_timeout: 0.2}", raw_upstream.url
    )
    flood = event("x" * 1_000_000)
    raw_upstream.scripts = [[*chunked(*[flood] * 30), None]]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]), limit=1)
    body = json.dumps(BODY).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: %d\r\n\r\n%s"
        % (len(body), body)
    )
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await eventually(lambda: request_lines)
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(40_000_000), 20)
    writer.close()
