"""Answers of the bench's upstream."""

import json

from bench import upstream


def _chunks(response: bytes) -> list[bytes]:
    body, chunks = response.partition(b"\r\n\r\n")[2], []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        chunks.append(rest[:length])
        assert rest[length : length + 2] == b"\r\n"
        body = rest[length + 2 :]
    return chunks


def test_a_stream_is_a_hundred_events_in_as_many_chunks() -> None:
    *events, last = _chunks(upstream.answer(b"post /x:streamgeneratecontent?alt=sse", b"{}"))

    assert last == b""
    assert len(events) == 100
    assert [json.loads(event[6:])["candidates"][0].get("finishReason") for event in events] == [None] * 99 + [
        "STOP"
    ]


def test_tools_are_called_and_schemas_are_met() -> None:
    def part(body: bytes) -> dict[str, object]:
        result: dict[str, object] = json.loads(_chunks(upstream.answer(b"post /x:generatecontent", body))[0])[
            "candidates"
        ][0]["content"]["parts"][0]
        return result

    assert part(b'{"tools":[{"functionDeclarations":[]}]}') == {
        "functionCall": {"name": "weather", "args": {"city": "Paris", "days": 3}}
    }
    assert json.loads(str(part(b'{"responseMimeType":"application/json"}')["text"])) == {
        "city": "Paris",
        "celsius": 21,
    }
    assert str(part(b"{}")["text"]).startswith("a few words of an answer")
