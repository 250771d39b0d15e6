"""Golden files of embeddings: a request and its batches for Gemini, answers and their list of vectors."""

from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.gemini.resources import decode_embeddings
from gateway.gemini.resources import encode as encode_batch
from gateway.plugins.embeddings.request import texts, to_gemini
from gateway.plugins.embeddings.response import embedding_list
from gateway.plugins.embeddings.wire import decode_request, encode
from tests.support import goldens


def batches(request: str) -> str:
    try:
        body = decode_request(request)
        return "".join(
            goldens.pretty(encode_batch(batch)) for batch in to_gemini(body, texts(body), body.model or "m")
        )
    except GatewayError as error:
        return f"{error.status} {error.code} {error.param}: {error.message}\n"


@pytest.mark.parametrize("file", goldens.files("embeddings"), ids=lambda file: file.stem)
def test_a_request_becomes_its_batches(file: Path) -> None:
    (request,) = goldens.inputs(file)

    goldens.check(file, batches(request))


@pytest.mark.parametrize("file", goldens.files("embeddings_turn"), ids=lambda file: file.stem)
def test_answers_become_a_list(file: Path) -> None:
    request, lines = goldens.inputs(file)
    body = decode_request(request)
    answers = [decode_embeddings(line) for line in lines.split("\n")]

    goldens.check(
        file, goldens.pretty(encode(embedding_list(answers, texts(body), "m", body.encoding_format)))
    )
