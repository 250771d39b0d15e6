"""Golden files of Responses.

tests/golden/responses: a request (after it, for `previous_response_id`, the stored items), and the Gemini body with its
notes, or the error. tests/golden/responses_turn: a request, Gemini's answer, and the response object.
tests/golden/responses_stream: a request, the JSON lines of Gemini's stream, and the frames for the client.

`GOLDEN=rewrite` writes the expected parts anew; read the diff before you commit it.
"""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.gemini.wire import decode_response
from tests.support import goldens
from tests.support.frames import frames
from tests.support.responses import Answer, Request, translation

STREAMS = goldens.files("responses_stream")


@pytest.mark.parametrize("file", goldens.files("responses"), ids=lambda file: file.stem)
def test_a_request_becomes_its_gemini_body(file: Path) -> None:
    request, *stored = goldens.inputs(file)
    history = json.loads(stored[0]) if stored else []

    goldens.check(file, goldens.report_or_error(lambda: translation(request, history)))


@pytest.mark.parametrize("file", goldens.files("responses_turn"), ids=lambda file: file.stem)
def test_an_answer_becomes_a_response(file: Path) -> None:
    request, answer = goldens.inputs(file)
    result = Answer(request)
    result.encoder.encode(
        result.reader.feed(decode_response(answer)) + result.reader.close(whole=True, accept_empty=True)
    )

    goldens.check(file, goldens.pretty(msgspec.json.encode(result.encoder.response)))


@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_a_stream_becomes_its_events(file: Path) -> None:
    request, lines = goldens.inputs(file)

    goldens.check(file, Answer(request).stream(goldens.sse(lines)).decode())


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 4000), max_size=10))
def test_a_stream_cut_anywhere_gives_the_same_events(file: Path, cuts: list[int]) -> None:
    request, lines = goldens.inputs(file)
    upstream = goldens.sse(lines)

    assert Answer(request).stream(upstream, cuts) == Answer(request).stream(upstream)


@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_a_stream_ends_with_the_response_it_has_built(file: Path) -> None:
    request, lines = goldens.inputs(file)

    check_stream(request, lines)


@pytest.mark.parametrize("file", goldens.files("chat_stream"), ids=lambda file: file.stem)
def test_every_stream_of_chat_is_a_response_too(file: Path) -> None:
    check_stream({"input": "x", "include": ["reasoning.encrypted_content"]}, goldens.inputs(file)[0])


def check_stream(request: Request, lines: str) -> None:
    """Check the rules that every stream keeps: numbers in order, one end, items begun and ended in order."""
    answer = Answer(request)
    events = frames(answer.stream(goldens.sse(lines)))
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
