"""When functions are called, with what arguments, ids and signatures."""

from typing import Any

import pytest

from gateway.emulator.messages import decode
from gateway.emulator.model_rules import refusal
from gateway.emulator.turns import Turn
from gateway.emulator.turns import turn as turn_or_none
from gateway.emulator.validation import validate
from tests.support.emulator import user

F3 = "gemini-3-flash-preview"


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


TOOLS = [{"functionDeclarations": [{"name": "clock", "parameters": {"type": "OBJECT"}},
                                   {"name": "get_weather", "parametersJsonSchema": CITY},
                                   {"name": "final_result", "parametersJsonSchema": {"type": "string"}}]}]  # fmt: skip


PNG = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}


def result(name: str = "get_weather", **fields: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": {"output": "SUNNY-42"}, **fields}}


def request(*contents: dict[str, Any], mode: str = "", allowed: Any = None, **fields: Any) -> dict[str, Any]:
    config = {"mode": mode, "allowedFunctionNames": allowed}
    kept = {key: value for key, value in config.items() if value}
    return {
        "contents": list(contents),
        "tools": TOOLS,
        "toolConfig": {"functionCallingConfig": kept},
        **fields,
    }


def turn(model: str, body: dict[str, Any]) -> Turn:
    """For requests that get more than talk."""
    result = turn_or_none(model, body)
    assert result is not None
    return result


def called(body: dict[str, Any], model: str = F3) -> list[tuple[str, Any]]:
    result = turn_or_none(model, body)
    parts = [part["functionCall"] for part in result.parts if "functionCall" in part] if result else []
    return [(call["name"], call["args"]) for call in parts]


def test_the_likeliest_function_is_called() -> None:
    assert called(request(user("Is the Weather nice in New York today?"))) == [("get_weather", {"city": "New York"})]  # fmt: skip
    assert called(request(user("use a tool"))) == [("clock", {})]
    assert called(request(user("hi"), mode="VALIDATED", allowed=["get_weather"])) == [("get_weather", {"city": "Paris"})]  # fmt: skip
    assert called(request(user("call final_result"))) == [("final_result", {})]
    assert called(request(user("call final_results"))) == []
    assert called({"contents": []}) == []


def test_a_forced_model_goes_on_calling_and_prefers_what_sounds_final() -> None:
    step = turn(F3, request(user("the weather"), mode="ANY"))
    history = (user("the weather"), {"role": "model", "parts": step.parts}, user(result()))

    assert called(request(*history, mode="ANY")) == [("final_result", {})]
    assert called(request(*history, mode="ANY", allowed=["clock"])) == [("clock", {})]
    assert called(request(*history)) == []


@pytest.mark.parametrize(
    ("model", "named", "signed"),
    [(F3, True, True), ("gemini-2.5-flash", False, True), ("gemini-2.0-flash", False, False), ("gemma-4-31b-it", False, False)],
)  # fmt: skip
def test_ids_and_signatures_are_the_models(model: str, named: bool, signed: bool) -> None:
    parts = turn(model, request(user("clock and get_weather"))).parts

    assert [set(part) - {"functionCall"} for part in parts] == [{"thoughtSignature"} if signed else set(), set()]  # fmt: skip
    ids = {part["functionCall"].get("id") for part in parts}
    assert len(ids) == 2 if named else ids == {None}


def test_calls_of_later_turns_have_other_ids() -> None:
    ids = set()
    contents: list[dict[str, Any]] = []
    for _ in range(2):
        contents.append(user("the weather, in two steps"))
        for _ in range(2):
            step = turn(F3, request(*contents))
            ids.add(step.parts[0]["functionCall"]["id"])
            contents += [{"role": "model", "parts": step.parts}, user(result())]
        final = turn(F3, request(*contents))
        assert final.parts == [{"text": "The tool said: SUNNY-42"}]
        contents.append({"role": "model", "parts": final.parts})

    assert len(ids) == 4
    again = {"contents": [*contents, user("thanks")], "tools": TOOLS}
    assert validate(F3, again) is None
    assert refusal(F3, decode(again)) is None


def test_files_among_results_are_named_and_start_no_new_turn() -> None:
    """Models from 3 on take files inside the response; before that they come in a content of their own."""
    call = {"role": "model", "parts": [{"functionCall": {"name": "get_weather"}}]}
    inside = request(
        user("get_weather"), call, user(result(parts=[PNG]), result(response={"a": 1, "b": "ü"}))
    )
    beside = request(user("get_weather, 2 steps"), call, user(result()), user("From get_weather:", PNG))

    assert turn(F3, inside).parts == [
        {"text": 'The tool said: SUNNY-42; {"a": 1, "b": "ü"}; IMAGE image/png 8 bytes'}
    ]
    assert called(beside) == [("get_weather", {"city": "Paris"})]
    over = request(*beside["contents"], call, user(result()), user("From get_weather:", PNG))
    assert turn(F3, over).parts == [{"text": "The tool said: SUNNY-42; IMAGE image/png 8 bytes"}]


def test_json_mode_quotes_the_result_where_the_schema_has_an_answer() -> None:
    call = {"role": "model", "parts": [{"functionCall": {"name": "get_weather"}}]}
    body = request(user("get_weather"), call, user(result()), generationConfig={"responseMimeType": "application/json"})  # fmt: skip

    assert turn(F3, body).parts == [{"text": '{"answer": "SUNNY-42"}'}]


@pytest.mark.parametrize(
    ("prompt", "command"),
    [
        ("Use clock to run: echo SUNNY-42. Then report its output.", "echo SUNNY-42"),
        ("clock to run: ls -l a.txt.", "ls -l a.txt"),
        ("clock, please", "x"),
    ],
)
def test_a_command_is_taken_from_the_prompt(prompt: str, command: str) -> None:
    schema = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
    tools = [{"functionDeclarations": [{"name": "clock", "parametersJsonSchema": schema}]}]

    assert called(request(user(prompt), tools=tools)) == [("clock", {"command": command})]


@pytest.mark.row("T12")
def test_t12_a_forced_model_calls_each_function_once_and_ends() -> None:
    contents: list[dict[str, Any]] = [user("go")]
    names = []
    for _ in range(9):
        parts = (turn_or_none(F3, request(*contents, mode="ANY")) or Turn([{"text": ""}])).parts
        call = parts[0].get("functionCall")
        if call is None:
            break
        names.append(call["name"])
        contents += [{"role": "model", "parts": parts}, user(result(call["name"]))]
    assert names == ["clock", "final_result", "get_weather"]
    assert called(request(*contents, {"role": "model", "parts": [{"text": "done"}]}, user("go"), mode="ANY"))


@pytest.mark.row("T12")
@pytest.mark.parametrize(("mode", "calls"), [("AUTO", False), ("ANY", True)])
def test_t12_a_prompt_that_forbids_calls_gets_none(mode: str, calls: bool) -> None:
    """Claude Code asks so for the summary of its history, and names its tools."""
    request = {
        "contents": [user("Respond with TEXT ONLY. Do NOT call any tools. Do not use clock or get_weather.")],
        "tools": TOOLS,
        "toolConfig": {"functionCallingConfig": {"mode": mode}},
    }
    made = turn_or_none(F3, decode(request))

    assert (made is not None and "functionCall" in made.parts[0]) is calls


LISTS = {"type": "array", "items": {"type": "string"}}
READ = {"type": "object", "properties": {"paths": LISTS}, "required": ["paths"]}
RUN = {"type": "object", "properties": {"commands": LISTS}, "required": ["commands"]}
EDIT = {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]}


@pytest.mark.parametrize(
    ("prompt", "schema", "args"),
    [
        ("Use f on the file ./src/a-b.py.", READ, {"paths": ["./src/a-b.py"]}),
        ("Use f on the file notes.txt, please", EDIT, {"file_path": "notes.txt"}),
        ("Use f on this file now", EDIT, {"file_path": "x"}),
        ("Use f to run: echo 1. Then report.", RUN, {"commands": ["echo 1"]}),
    ],
)
def test_paths_and_lists_of_commands_are_taken_from_the_prompt(prompt: str, schema: Any, args: Any) -> None:
    tools = [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}]}]

    assert called(request(user(prompt), tools=tools)) == [("f", args)]
