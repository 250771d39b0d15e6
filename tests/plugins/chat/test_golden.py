"""Golden files: a request and the Gemini body it becomes; a Gemini answer or stream and what the client sees.

`GOLDEN=rewrite` writes the expected parts anew; the reader judges the diff.
"""

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.gemini import wire as gemini
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.plugins.chat.response import AnswerOptions, ChatStream, Envelope, completion
from gateway.plugins.chat.wire import encode
from tests.support.chat import translation
from tests.support.paths import GOLDEN

FOLDER = GOLDEN
RULE = "\n-----\n"
REQUESTS = sorted((FOLDER / "chat").glob("*.golden"))
TURNS = sorted((FOLDER / "chat_turn").glob("*.golden"))
STREAMS = sorted((FOLDER / "chat_stream").glob("*.golden"))


def halves(file: Path) -> tuple[str, str]:
    above, _, below = file.read_bytes().decode().partition(RULE)
    return above, below


def compare(file: Path, above: str, below: str, found: str) -> None:
    if os.environ.get("GOLDEN") == "rewrite":
        file.write_bytes((above + RULE + found).encode())
    else:
        assert found == below


def translated(request: str) -> str:
    try:
        done = translation(request)
    except GatewayError as error:
        return f"{error.status} {error.code} {error.param}: {error.message}\n"
    except msgspec.ValidationError as error:
        return f"400 {error}\n"
    body = json.loads(gemini.encode_request(done.request))
    notes = f"notes: {', '.join(done.notes)}\n" if done.notes else ""
    return notes + json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def answered(request: str, answer: str) -> str:
    done = translation(request)
    numbers = iter(range(100))
    reader = TurnReader(lambda: f"call_{next(numbers)}", done.rules)
    events = reader.feed(gemini.decode_response(answer)) + reader.close(whole=True, accept_empty=True)
    envelope = Envelope("chatcmpl-x", 1700000000, json.loads(request).get("model", "asked"))
    found = completion(events, envelope, AnswerOptions(done.rules, done.audio_format))
    return json.dumps(json.loads(encode(found)), indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("file", REQUESTS, ids=lambda f: f.stem)
def test_a_request_becomes_its_gemini_body(file: Path) -> None:
    above, below = halves(file)

    compare(file, above, below, translated(above))


@pytest.mark.parametrize("file", TURNS, ids=lambda f: f.stem)
def test_an_answer_becomes_a_completion(file: Path) -> None:
    request, answer, below = file.read_bytes().decode().split(RULE)

    compare(file, request + RULE + answer, below, answered(request, answer))


def sse(events: str) -> bytes:
    """JSON lines as Google frames them."""
    return b"".join(b"data: " + line.encode() + b"\r\n\r\n" for line in events.split("\n") if line)


def client_stream(stream: bytes, cuts: list[int]) -> bytes:
    numbers = iter(range(100))
    encoder = ChatStream(Envelope("chatcmpl-x", 1700000000, "asked"), include_usage=True)
    translator = StreamTranslator(TurnReader(lambda: f"call_{next(numbers)}"), encoder)
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    out = b""
    for a, b in pairwise(edges):
        if translator.error is None:
            out += translator.feed(stream[a:b])
    if translator.error is None:
        out += translator.close()
    return out if translator.error is None else out + translator.fail(translator.error)


@pytest.mark.parametrize("file", STREAMS, ids=lambda f: f.stem)
def test_a_stream_becomes_its_chunks(file: Path) -> None:
    above, below = halves(file)

    compare(file, above, below, client_stream(sse(above), []).decode())


@pytest.mark.parametrize("file", STREAMS, ids=lambda f: f.stem)
def test_a_stream_byte_by_byte_is_the_same(file: Path) -> None:
    stream = sse(halves(file)[0])

    assert client_stream(stream, []) == client_stream(stream, list(range(len(stream))))


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 5000), max_size=12))
def test_a_stream_cut_anywhere_is_the_same(file: Path, cuts: list[int]) -> None:
    stream = sse(halves(file)[0])

    assert client_stream(stream, []) == client_stream(stream, cuts)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["candidates", "content", "parts", "text", "functionCall",
                                                       "name", "args", "index", "finishReason", "usageMetadata",
                                                       "promptTokenCount", "error", "promptFeedback"]),
                                      inner, max_size=4), max_leaves=12))  # fmt: skip
def test_no_json_crashes_the_translator(value: Any) -> None:
    out = client_stream(sse(json.dumps(value)), [])

    assert out.endswith((b"data: [DONE]\n\n", b"}\n\n"))
