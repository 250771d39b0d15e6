"""What is read out of a request: prompt, question, results, files and tools."""

from typing import Any

import pytest

from gateway.emulator import request as read
from tests.support.emulator import user

PNG = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
CALL = {"role": "model", "parts": [{"functionCall": {"name": "f"}}]}


def result(value: str, **fields: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": "f", "response": {"output": value}, **fields}}


def test_the_prompt_is_the_last_content_and_the_question_the_users_last_words() -> None:
    request = {"contents": [user("weather", " in Oslo"), CALL, user(result("a")), user("From f:", PNG)]}

    assert read.question(request) == "weather in Oslo"
    assert read.prompt(request) == "From f:"
    assert read.last_turn(request) == [{"text": "From f:"}, PNG]


def test_results_are_those_after_the_last_model_turn_with_their_files() -> None:
    first, second = result("a"), result("b")
    request = {"contents": [user("x"), CALL, user(first), CALL, user(second), user("From f:", PNG)]}

    assert read.results(request) == [second, {"text": "From f:"}, PNG]
    assert read.steps_done(request) == 2


@pytest.mark.parametrize("tag", ["system-reminder", "task-notification"])
def test_what_an_agent_adds_to_a_turn_is_no_question(tag: str) -> None:
    words = f"<{tag}>\nSkills: agent.\nRespond only in JSON.\n</{tag}>"
    request = {"contents": [user(words, "Hello.", words), CALL, user(result("a"))]}

    assert read.question(request) == "Hello."
    assert read.instructions(request) == "Hello."
    assert read.question({"contents": [user("<system-reminder> is a tag.")]}) == "<system-reminder> is a tag."


@pytest.mark.parametrize("contents", [[], [CALL], [user(result("a"))]])
def test_without_a_user_turn_there_are_no_words(contents: list[Any]) -> None:
    assert read.question({"contents": contents}) == ""


def test_instructions_are_the_system_instruction_and_the_question() -> None:
    request = {"contents": [user("x")], "systemInstruction": {"parts": [{"text": "a"}, {}]}}

    assert read.instructions(request) == "a\n\nx"


def test_files_are_found_inside_function_responses() -> None:
    inside = result("a", parts=[PNG])
    request = {"contents": [user("x", {"fileData": {"fileUri": "u"}}), user(inside)]}

    assert list(read.blobs([inside])) == [PNG["inlineData"]]
    assert read.input_kinds(request) == ["text", "image"]


def test_tools_and_configs() -> None:
    request = {
        "tools": [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}, "codeExecution": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"seed": 1},
    }

    assert read.functions(request) == [{"name": "f"}]
    assert read.built_ins(request) == {"googleSearch", "codeExecution"}
    assert read.calling_config(request) == {"mode": "ANY"}
    assert read.generation(request) == {"seed": 1}
    assert (read.functions({}), read.built_ins({}), read.calling_config({}), read.generation({})) == ([], set(), {}, {})  # fmt: skip
