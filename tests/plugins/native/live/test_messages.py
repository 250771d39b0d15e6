"""Messages of the Live API: the first one, those that name files, and Google's counts."""

import json
from typing import Any

import pytest

from gateway.errors import BadRequest, Forbidden, GatewayError
from gateway.plugins.native.live.messages import NOTHING, check_message, read_message, read_setup


def setup(**fields: Any) -> bytes:
    return json.dumps({"setup": {"model": "models/gemini-3.8-live", **fields}}).encode()


@pytest.mark.parametrize("issued", [True, False])
def test_a_setup_names_its_model(*, issued: bool) -> None:
    assert read_setup(setup(), issued=issued).model == "gemini-3.8-live"
    assert read_setup(b'\n{"setup": {"model": "m"}}', issued=issued).model == "m"


def test_a_setup_of_an_issued_key_is_read_whole() -> None:
    part = {"fileData": {"fileUri": "files/abc"}}
    read = read_setup(
        setup(sessionResumption={"handle": "h"}, systemInstruction={"parts": [part]}), issued=True
    )
    assert read.handle == "h"
    assert list(read.names) == ["files/abc"]
    assert read_setup(setup(session_resumption={"handle": None}), issued=True).handle == ""


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"{}", BadRequest),
        (b'{"setup": {}}', BadRequest),
        (b'{"setup": {"model": 1}}', BadRequest),
        (b'{"setup": {"model": "a", "model": "b"}}', BadRequest),
        (b'{"setup": {"model": "a"}, "setup": {"model": "b"}}', BadRequest),
        (b"[" * 1000, BadRequest),
        (b"nonsense", BadRequest),
        (setup(sessionResumption={"handle": 1}), BadRequest),
        (setup(sessionResumption={"handle": "a"}, session_resumption={"handle": "b"}), BadRequest),
        (setup(tools=[{"file_search": {}}]), Forbidden),
        (setup(model="x" * 10_000), GatewayError),
    ],
)
def test_an_issued_keys_setup_says_one_thing(data: bytes, error: type[GatewayError]) -> None:
    with pytest.raises(error):
        read_setup(data, issued=True)


def test_a_model_that_looks_like_a_key_is_not_logged() -> None:
    assert read_setup(setup(model="models/AIzaSyA0000000000000000000000000000000"), issued=False).model == ""
    assert read_setup(b'{"setup": {"model": null}}', issued=False).model == ""


def test_messages_without_files_are_not_decoded() -> None:
    assert check_message(b'{"realtimeInput": nonsense') == {}
    data = json.dumps({"clientContent": {"turns": [{"parts": [{"text": "a fileUri is a name"}]}]}}).encode()
    assert check_message(data) == {}


@pytest.mark.parametrize(
    "data",
    [
        b'{"clientContent":{"turns":[{"parts":[{"fileData":{"fileUri":"files/x"}}]}]}}',
        b'{"clientContent":{"turns":[{"parts":[{"fileData":{"\\u0066ileUri":"files/x"}}]}]}}',
        b'{"toolResponse":{"functionResponses":[{"parts":[{"file_data":{"file_uri":"files/x"}}]}]}}',
    ],
)
def test_names_of_files_are_found_however_they_are_spelt(data: bytes) -> None:
    assert list(check_message(data)) == ["files/x"]


def test_what_can_be_read_in_two_ways_is_refused() -> None:
    for data in (b'{"a": {"fileUri": "files/x"}, "a": {}}', b'{"fileUri": files/x}', b'["fileUri"]'):
        with pytest.raises(BadRequest):
            check_message(data)


def test_googles_counts_end_and_handles_are_read() -> None:
    usage = {"promptTokenCount": 9, "responseTokenCount": 3, "totalTokenCount": 12, "thoughtsTokenCount": 1,
             "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}]}  # fmt: skip
    read = read_message(
        json.dumps({"serverContent": {"turnComplete": True}, "usageMetadata": usage}).encode()
    )
    assert (read.is_content, read.is_over) == (True, True)
    assert read.usage is not None
    whole = read.usage
    assert (whole.prompt_token_count, whole.candidates_token_count, whole.thoughts_token_count) == (9, 3, 1)
    grounded = read_message(b'{"serverContent": {"groundingMetadata": {"webSearchQueries": ["a"]}}}')
    assert grounded.grounding == b'{"webSearchQueries": ["a"]}'
    update = read_message(b'{"sessionResumptionUpdate": {"newHandle": "h", "resumable": true}}')
    assert (update.handle, update.is_content) == ("h", False)
    assert read_message(b'{"toolCall": {"functionCalls": []}}').is_content


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[]", b'{"serverContent": 1}', b'{"usageMetadata": {"promptTokenCount": "x"}}'])  # fmt: skip
def test_what_cannot_be_read_counts_nothing(data: bytes) -> None:
    assert read_message(data) is NOTHING
