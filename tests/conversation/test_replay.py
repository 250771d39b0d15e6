"""Parts that Google's own tools made go back into earlier answers, if the request may hold them."""

from gateway.conversation.notes import Notes
from gateway.conversation.pairing import Call, Turn
from gateway.conversation.replay import Replay, ServerTools
from gateway.gemini.server_runs import Placed, Run
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.wire import (
    ExecutableCode,
    FunctionCall,
    Part,
    ServerToolCall,
    ServerToolResponse,
    encode_json,
)

KEYS = SignatureKeys("k")
SEARCH = Part(tool_call=ServerToolCall("GOOGLE_SEARCH_WEB", id="t1"), thought_signature="U0lH")
FOUND = Part(tool_response=ServerToolResponse("GOOGLE_SEARCH_WEB", id="t1"))
CODE = Part(executable_code=ExecutableCode("1"))
CALL = Part(function_call=FunctionCall("f"))
ALL = ServerTools(circulates=True, runs_code=True)


def text_of(run: Run) -> str:
    return encode_json(run).decode()


def turn(*texts: str, calls: int = 0, run: Run | None = None) -> Turn:
    made = [Call(f"c{i}", "f", "{}", "at", "at") for i in range(calls)]
    return Turn(
        "model", [Part(text=text) for text in texts], "messages[1]", made, run, "messages[1].server_parts"
    )


def replayed(
    said: Turn, stored: dict[bytes, str], tools: ServerTools = ALL, before: tuple[Part, ...] = ()
) -> tuple[list[Part], list[str]]:
    notes = Notes()
    texts = [part for part in said.parts if isinstance(part, Part)]
    parts = Replay(KEYS, stored, tools, notes).parts(said, texts, [CALL] * len(said.calls), before)
    return parts, list(notes)


RUN = [Placed(0, SEARCH), Placed(0, FOUND)]


def test_each_call_has_the_run_before_it() -> None:
    other = Part(tool_call=ServerToolCall("URL_CONTEXT", id="t2"))
    stored = {KEYS.before_call("c0"): text_of(RUN), KEYS.before_call("c1"): text_of([Placed(3, other)])}

    assert replayed(turn("abc", calls=2), stored)[0] == [SEARCH, FOUND, Part(text="abc"), CALL, other, CALL]


def test_an_answer_without_calls_has_its_run_by_its_text() -> None:
    stored = {KEYS.answer("abc"): text_of([Placed(1, SEARCH), Placed(1, FOUND)])}

    assert replayed(turn("abc"), stored)[0] == [Part(text="a"), SEARCH, FOUND, Part(text="bc")]
    assert replayed(turn("abd"), stored)[0] == [Part(text="abd")]


def test_what_is_there_is_not_put_back_again() -> None:
    stored = {KEYS.before_call("c0"): text_of(RUN)}

    assert replayed(turn("abc", calls=1), stored, before=(SEARCH,))[0] == [FOUND, Part(text="abc"), CALL]


def test_a_request_without_the_tools_takes_no_parts() -> None:
    stored = {KEYS.before_call("c0"): text_of(RUN)}

    assert replayed(turn("abc", calls=1), stored, ServerTools()) == ([Part(text="abc"), CALL], [])
    assert replayed(turn("a", run=RUN), {}, ServerTools(runs_code=True)) == (
        [Part(text="a")],
        ["messages[1].server_parts"],
    )
    assert replayed(turn("a", run=[Placed(None, CODE)]), {}, ServerTools(circulates=True))[0] == [
        Part(text="a")
    ]


def test_a_given_run_wins_over_the_store() -> None:
    stored = {KEYS.before_call("c0"): text_of([Placed(0, FOUND)])}

    assert replayed(turn("a", calls=1, run=[Placed(None, SEARCH)]), stored)[0] == [
        SEARCH,
        Part(text="a"),
        CALL,
    ]


def test_several_texts_stand_after_the_run() -> None:
    stored = {KEYS.before_call("c0"): text_of([*RUN, Placed(0, CODE)])}

    assert replayed(turn("a", "b", calls=1), stored)[0] == [
        SEARCH,
        FOUND,
        Part(text="a"),
        Part(text="b"),
        CALL,
    ]


def test_the_signature_of_a_text_stays_on_its_last_piece() -> None:
    said = Turn("model", [Part(text="abc", thought_signature="c2ln")], "at", [], [Placed(1, SEARCH)])

    assert replayed(said, {})[0] == [
        Part(text="a"), SEARCH, Part(text="bc", thought_signature="c2ln"),
    ]  # fmt: skip
