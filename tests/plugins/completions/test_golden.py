"""Golden files of completions: a request and its Gemini bodies, answers and their completion, a stream and its chunks."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import decode_response
from gateway.plugins.completions.fields import COMPLETIONS
from gateway.plugins.completions.request import conversation, prompts
from gateway.plugins.completions.response import CompletionStream, Envelope, completion
from gateway.plugins.completions.wire import CompletionRequest, decode_request, encode
from tests.support import goldens

STREAMS = goldens.files("completions_stream")


def gemini_bodies(request: str) -> str:
    try:
        body = decode_request(request)
        several = isinstance(body.prompt, list)
        said = [
            conversation(body, prompt, f"prompt[{i}]" if several else "prompt", strict=False)
            for i, prompt in enumerate(prompts(body))
        ]
        goldens.reviewed(said[0], request, COMPLETIONS)
        return "".join(goldens.report(goldens.translated(one, goldens.model_of(body))) for one in said)
    except GatewayError as error:
        return f"{error.status} {error.code} {error.param}: {error.message}\n"


def echoes(body: CompletionRequest) -> list[str]:
    return [prompt if body.echo else "" for prompt in prompts(body) for _ in range(body.n or 1)]


@pytest.mark.parametrize("file", goldens.files("completions"), ids=lambda file: file.stem)
def test_a_request_becomes_its_gemini_bodies(file: Path) -> None:
    (request,) = goldens.inputs(file)

    goldens.check(file, gemini_bodies(request))


@pytest.mark.parametrize("file", goldens.files("completions_turn"), ids=lambda file: file.stem)
def test_answers_become_a_completion(file: Path) -> None:
    request, answers = goldens.inputs(file)
    events = []
    for i, answer in enumerate(answers.split("\n")):
        reader = TurnReader(goldens.numbered("call_"), base=i)
        events += [*reader.feed(decode_response(answer)), *reader.close(whole=True)]
    result = completion(events, Envelope("cmpl-x", 1700000000, "asked"), echoes(decode_request(request)))

    goldens.check(file, goldens.pretty(encode(result)))


def stream(request: str, upstream: bytes, cuts: list[int]) -> bytes:
    body = decode_request(request)
    encoder = CompletionStream(
        Envelope("cmpl-x", 1700000000, "asked"),
        echoes(body),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        calls=1,
    )
    return goldens.streamed(StreamTranslator(TurnReader(goldens.numbered("call_")), encoder), upstream, cuts)


@pytest.mark.parametrize("file", STREAMS, ids=lambda file: file.stem)
def test_a_stream_becomes_its_chunks(file: Path) -> None:
    request, lines = goldens.inputs(file)

    goldens.check(file, stream(request, goldens.sse(lines), []).decode())


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 4000), max_size=10))
def test_a_stream_cut_anywhere_is_the_same(file: Path, cuts: list[int]) -> None:
    request, lines = goldens.inputs(file)
    upstream = goldens.sse(lines)

    assert stream(request, upstream, cuts) == stream(request, upstream, [])
