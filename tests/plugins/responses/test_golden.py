"""Golden files of Responses.

tests/golden/responses: a request (after it, for `previous_response_id`, the stored items), and the Gemini body with its
notes, or the error. tests/golden/responses_turn: a request, Gemini's answer, and the response object.
tests/golden/responses_stream: a request, the JSON lines of Gemini's stream, and the frames for the client.

`GOLDEN=rewrite` writes the expected parts anew; read the diff before you commit it.
"""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.gemini import wire as gemini
from tests.support.paths import GOLDEN
from tests.support.responses import Answer, sse, translation

RULE = "\n-----\n"
REQUESTS = sorted((GOLDEN / "responses").glob("*.golden"))
TURNS = sorted((GOLDEN / "responses_turn").glob("*.golden"))
STREAMS = sorted((GOLDEN / "responses_stream").glob("*.golden"))
CHAT_STREAMS = sorted((GOLDEN / "chat_stream").glob("*.golden"))


def sections(file: Path) -> list[str]:
    return file.read_bytes().decode().split(RULE)


def compare(file: Path, given: list[str], expected: str, actual: str) -> None:
    if os.environ.get("GOLDEN") == "rewrite":
        file.write_bytes(RULE.join([*given, actual]).encode())
    else:
        assert actual == expected


def translated(request: str, history: list[Any]) -> str:
    try:
        result = translation(request, history)
    except GatewayError as error:
        return f"{error.status} {error.code} {error.param}: {error.message}\n"
    except msgspec.ValidationError as error:
        return f"400 {error}\n"
    notes = f"notes: {', '.join(result.notes)}\n" if result.notes else ""
    return notes + indented(gemini.encode_request(result.request))


def indented(data: bytes) -> str:
    return json.dumps(json.loads(data), indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("file", REQUESTS, ids=lambda file: file.stem)
def test_a_request_becomes_its_gemini_body(file: Path) -> None:
    *given_parts, expected = sections(file)
    history = json.loads(given_parts[1]) if len(given_parts) > 1 else []

    compare(file, given_parts, expected, translated(given_parts[0], history))


@pytest.mark.parametrize("file", TURNS, ids=lambda file: file.stem)
def test_an_answer_becomes_a_response(file: Path) -> None:
    request, answer, expected = sections(file)
    result = Answer(request)
    result.encoder.encode(
        result.reader.feed(gemini.decode_response(answer))
        + result.reader.close(whole=True, accept_empty=True)
    )

    compare(file, [request, answer], expected, indented(msgspec.json.encode(result.encoder.response)))


@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_a_stream_becomes_its_events(file: Path) -> None:
    request, lines, expected = sections(file)

    compare(file, [request, lines], expected, Answer(request).stream([sse(lines)]).decode())


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 4000), max_size=10))
def test_a_stream_cut_anywhere_gives_the_same_events(file: Path, cuts: list[int]) -> None:
    request, lines, _ = sections(file)
    stream = sse(lines)
    edges = sorted(cut % (len(stream) + 1) for cut in cuts)
    pieces = [stream[a:b] for a, b in zip([0, *edges], [*edges, len(stream)], strict=True)]

    assert Answer(request).stream(pieces) == Answer(request).stream([stream])


@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_a_stream_ends_with_the_response_it_has_built(file: Path) -> None:
    request, lines, _ = sections(file)
    check(Answer(request), lines)


@pytest.mark.parametrize("file", CHAT_STREAMS, ids=lambda file: file.stem)
def test_every_stream_of_chat_is_a_response_too(file: Path) -> None:
    check(Answer({"input": "x", "include": ["reasoning.encrypted_content"]}), sections(file)[0])


def check(answer: Answer, lines: str) -> None:
    """Check the rules that every stream keeps: numbers in order, one end, items begun and ended in order."""
    frames = answer.stream([sse(lines)]).decode()
    events = [json.loads(line[6:]) for line in frames.split("\n") if line.startswith("data: ")]
    kinds = [event["type"] for event in events]

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert kinds[:2] == ["response.created", "response.in_progress"]
    (end,) = (event for event in events if event["type"] in ("response.completed", "response.incomplete", "response.failed"))  # fmt: skip
    assert end["response"] == json.loads(msgspec.json.encode(answer.encoder.response))
    assert end["response"]["status"] == end["type"].partition(".")[2]
    if end["type"] != "response.failed":
        done = [event for event in events if event["type"] == "response.output_item.done"]
        added = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
        assert added == [event["output_index"] for event in done] == list(range(len(added)))
        assert [event["item"] for event in done] == end["response"]["output"]
