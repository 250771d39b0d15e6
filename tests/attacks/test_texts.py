"""Client text in places that are not read: bytes that are no text, names in headers and in the log."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.hostile import Bench

F = b'"model":"gemini-2.5-flash",'
BODIES: dict[str, bytes] = {
    "/v1/chat/completions": b"{" + F + b'"messages":[{"role":"user","content":"x"}],%s}',
    "/v1/responses": b"{" + F + b'"input":"x",%s}',
    "/v1/responses/input_tokens": b"{" + F + b'"input":"x",%s}',
    "/v1/messages": b"{" + F + b'"max_tokens":5,"messages":[{"role":"user","content":"x"}],%s}',
    "/v1/messages/count_tokens": b"{" + F + b'"messages":[{"role":"user","content":"x"}],%s}',
    "/v1/completions": b"{" + F + b'"prompt":"x",%s}',
    "/v1/embeddings": b'{"input":"x",%s}',
    "/v1/moderations": b'{"input":"x",%s}',
}
"""A good body of each surface, with room for one more field."""
FIELDS = [b"logit_bias", b"metadata", b"user", b"service_tier", b"truncation", b"zzz", b"stop", b"model"]
NO_TEXTS = [
    b'"\xff"', b'"\xed\xa0\x80"', b'"\xf8\x88\x80\x80\x80"', b'["\xc3"]', b'{"\xff":1}', b'"' + b"x" * 70 + b'\xff"',
    b'"\\ud800"', b'"\\udc00x"', b'{"\\ud800":1}', b'"\\ud800\\ud800"', b'"\\x"', b'"\x01"',
]  # fmt: skip
"""JSON whose text is not UTF-8, has lone surrogates, or is escaped wrongly."""


@pytest.fixture(params=BODIES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    bench = Bench(request.param)
    await bench.start()
    yield bench
    await bench.stop()


@pytest.mark.row("A17", "C22")
async def test_a17_text_that_is_no_text_is_a_400_that_names_the_field(bench: Bench) -> None:
    for field in FIELDS:
        for value in NO_TEXTS:
            status, answer = await bench.send(BODIES[bench.path] % (b'"' + field + b'":' + value))
            assert status == 400, (field, value, status, answer)
            if not value.isascii():  # no decoder has found another fault before
                assert field in answer, (field, value, answer)


@pytest.mark.row("C22", "C23")
@pytest.mark.parametrize(
    "value",
    [b'"\\u0000"', b'"\x7f"', b'"\\ud83d\\ude00"', b'"\\\\ud800"', b'"\xef\xbb\xbf"', b"1e999", b"-1e999", b"-0",
     b"1" * 5000, b"0." + b"1" * 5000],
)  # fmt: skip
async def test_c22_odd_values_in_ignored_fields_are_ignored(bench: Bench, value: bytes) -> None:
    for field in (b"user", b"zzz"):
        status, answer = await bench.send(BODIES[bench.path] % (b'"' + field + b'":' + value))
        assert status == 200, (field, value, answer)


@pytest.mark.row("C22", "C23", "C20")
@pytest.mark.parametrize(
    "body",
    [b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b'{"a":NaN}', b'{"a":Infinity}', b'{"a":01}', b'{"a":+1}', b'{"a":.5}',
     b'{"a":' * 101 + b"1" + b"}" * 101, b"[" * 1_000_000, b'{"a":' + b"[" * 255 + b"]" * 255 + b"}",
     b'{"a":' + b"[" * 1024 + b"]" * 1024 + b"}"],
)  # fmt: skip
async def test_c22_what_is_not_json_is_a_400(bench: Bench, body: bytes) -> None:
    status, answer = await bench.send(body)

    assert status == 400
    assert "error" in json.loads(answer)


@pytest.mark.row("C23")
@pytest.mark.parametrize(
    "number", [b"1e999", b"-1e999", b"1e308", b"9" * 30, b"-" + b"9" * 5000, b"0." + b"9" * 400]
)
async def test_c23_odd_numbers_are_named_or_in_range(bench: Bench, number: bytes) -> None:
    for field in (
        b"temperature",
        b"top_p",
        b"seed",
        b"n",
        b"max_tokens",
        b"dimensions",
        b"top_k",
        b"max_output_tokens",
    ):
        status, answer = await bench.send(BODIES[bench.path] % (b'"' + field + b'":' + number))
        assert status in (200, 400), (field, number, answer)
        if status == 400 and number not in (b"1e999", b"-1e999"):
            assert field in answer, (field, number, answer)


@pytest.mark.row("C24")
async def test_c24_of_two_fields_of_one_name_the_last_counts(bench: Bench) -> None:
    for first, last, expected in ((b"gemini-2.5-flash", b"5", 400), (b"5", b'"gemini-2.5-flash"', 200)):
        sent = BODIES[bench.path] % (b'"model":' + first.join([b'"', b'"']) + b',"model":' + last)
        status, answer = await bench.send(sent)
        assert status == expected, (sent, answer)


def unknown(count: int) -> bytes:
    return b",".join(b'"unknown_%d":1' % i for i in range(count))


@pytest.mark.row("A14", "C26")
@pytest.mark.parametrize("count", [1, 20, 200, 1000, 10_000])
async def test_a14_notes_have_a_bound(bench: Bench, count: int) -> None:
    async with bench.http.post(bench.url, data=BODIES[bench.path] % unknown(count)) as response:
        assert response.status == 200, await response.read()
        notes = response.headers.get("x-gateway-notes", "")

    if "tokens" in bench.path.rpartition("/")[2]:
        return  # counting notes nothing
    names = notes.split(",")
    assert len(notes) <= 1024
    assert len(names) <= 21
    assert names[0] == "unknown_0"
    assert (names[-1] == f"+{count - 20}") == (count > 20)


@pytest.mark.row("C26")
@pytest.mark.parametrize(
    "name", ["__proto__", "constructor", "self", "__class__", "toString", "", "\u0000", "a" * 5000, "é"]
)
async def test_c26_unknown_names_are_noted(bench: Bench, name: str) -> None:
    field = json.dumps(name).encode() + b":1"
    async with bench.http.post(bench.url, data=BODIES[bench.path] % field) as response:
        assert response.status == 200, await response.read()
        assert len(response.headers.get("x-gateway-notes", "")) <= 64


NAMES = [
    "a\r\nX-Evil: 1",
    "a\u0000b",
    "\u0085",
    "é" * 100,
    "x" * 100_000,
    "aB" * 50_000,
    "\ud83d\ude00",
    "a,b",
    "ſtore",
]
CHANNELS = {
    "/v1/chat/completions": ["google", "extra_body.google"],
    "/v1/responses": ["google", "extra_body.google"],
    "/v1/messages": ["google", "extra_body.google"],
}


@pytest.mark.row("A13")
@pytest.mark.parametrize("path", CHANNELS)
async def test_a13_names_in_notes_are_printable(path: str) -> None:
    bench = Bench(path)
    await bench.start()
    try:
        for channel in CHANNELS[path]:
            for name in NAMES:
                value: dict[str, Any] = {name: 1}
                for step in reversed(channel.split(".")):
                    value = {step: value}
                field = json.dumps(value)[1:-1].encode()
                async with bench.http.post(bench.url, data=BODIES[path] % field) as response:
                    assert response.status == 200, (name, await response.read())
                    notes = response.headers["x-gateway-notes"]
                    assert "X-Evil" not in response.headers
                assert notes.startswith(f"{channel}."), notes
                assert notes.isascii(), notes
                assert notes.isprintable(), notes
                assert len(notes) <= 64
                assert "," not in notes
    finally:
        await bench.stop()
