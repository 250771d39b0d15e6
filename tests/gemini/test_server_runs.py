"""Runs: the parts that Google's own tools made, recorded, stored, given, and put back into a text."""

import msgspec
import pytest
from msgspec import Raw

from gateway.gemini.server_runs import Placed, RunRecorder, given_run, in_place, step_of, stored_run
from gateway.gemini.wire import CodeExecutionResult, ExecutableCode, Part, ServerToolCall, encode_json

CODE = Part(executable_code=ExecutableCode("1+1", "PYTHON", "x"), thought_signature="c2ln")
RESULT = Part(code_execution_result=CodeExecutionResult("OUTCOME_OK", "2\n", "x"))
CALL = Part(
    tool_call=ServerToolCall("GOOGLE_SEARCH_WEB", Raw(b'{"queries":["q"]}'), "t1"), thought_signature="U0lH"
)


def recorded(*parts: tuple[Part, int]) -> RunRecorder:
    recorder = RunRecorder()
    for part, at in parts:
        recorder.add(part, at)
    return recorder


@pytest.mark.row("T9")
def test_t09_code_is_put_back_where_its_words_stand() -> None:
    recorder = recorded((CODE, 5), (RESULT, 5), (CALL, 8))
    shown = recorder.shown("Here:so.")
    run = stored_run(recorder.whole())

    assert shown == "Here:\n```python\n1+1\n```\n\n```\n2\n\n```\nso."
    assert in_place(shown, run) == [Part(text="Here:"), CODE, RESULT, Part(text="so."), CALL]


@pytest.mark.row("T9")
def test_t09_what_a_client_was_given_is_put_back_without_places() -> None:
    recorder = recorded((CALL, 0), (CODE, 5), (RESULT, 5))
    given = recorder.given()
    assert given is not None
    run, is_whole = given_run(given)

    assert is_whole
    assert in_place(recorder.shown("Here:so."), run) == [
        CALL,
        Part(text="Here:"),
        CODE,
        RESULT,
        Part(text="so."),
    ]


def test_code_that_the_text_does_not_show_is_left_out() -> None:
    assert in_place("changed", [Placed(3, CODE), Placed(3, RESULT), Placed(3, CALL)]) == [
        Part(text="cha"), CALL, Part(text="nged"),
    ]  # fmt: skip
    assert in_place("", [Placed(0, CALL)]) == [CALL]


def test_a_call_takes_the_parts_since_the_last_one() -> None:
    recorder = recorded((CALL, 0))
    assert stored_run(recorder.take() or "") == [Placed(0, CALL)]
    assert recorder.take() is None


@pytest.mark.parametrize("raw", [b"5", b'[{"toolCall":5}]', b'{"a":1}', b'[{"executableCode":{"code":[]}}]'])
def test_other_shapes_are_no_run(raw: bytes) -> None:
    assert given_run(Raw(raw)) == ((), False)
    assert stored_run("[[1]]") == ()


def test_a_client_brings_in_no_other_kind_of_part() -> None:
    parts = [{"text": "x"}, {"fileData": {"fileUri": "https://files.example/a"}}, {"functionCall": {"name": "f"}},
             {"toolCall": {"id": "t", "toolType": "URL_CONTEXT"}, "fileData": {"fileUri": "u"}, "thought": True}]  # fmt: skip

    assert given_run(Raw(msgspec.json.encode(parts))) == (
        [Placed(None, Part(tool_call=ServerToolCall("URL_CONTEXT", id="t")))], False,
    )  # fmt: skip


def test_parts_that_google_would_refuse_do_not_come_in() -> None:
    parts = [{"toolCall": {}}, {"toolResponse": {"id": "t"}}, {"executableCode": {"code": ""}},
             {"executableCode": {"code": "1"}, "thoughtSignature": "not base64!"}]  # fmt: skip

    assert given_run(Raw(msgspec.json.encode(parts))) == (
        [Placed(None, Part(executable_code=ExecutableCode("1")))], False,
    )  # fmt: skip


def test_large_parts_are_not_given() -> None:
    assert recorded((Part(tool_call=ServerToolCall(id="t" * 20_000)), 0)).given() is None


def test_the_number_and_size_of_kept_parts_are_bounded() -> None:
    many = recorded(*((CALL, 0) for _ in range(1000)))
    assert len(stored_run(many.whole())) == 256

    large = Part(tool_call=ServerToolCall(id="t" * 2**21))
    assert len(recorded((large, 0), (large, 0), (large, 0)).whole()) < 2**22 + 100


def test_a_step_is_known_by_its_id() -> None:
    assert step_of(CALL) == ("call", "t1")
    assert step_of(CODE) is None
    assert encode_json(CALL).startswith(b'{"toolCall"')
