"""Rewrites say the same in another way, and leave what they were given as it was."""

import pytest

from gateway.gemini.rewrites import instructed, json_instruction, maps_json_format, without_json_mode
from gateway.gemini.wire import Content, FunctionResponse, GenerationConfig, Part, encode_json

SCHEMA = {"type": "object"}
CONFIG = GenerationConfig(
    top_k=3, response_mime_type="application/json", response_json_schema=SCHEMA, response_schema={"type": "OBJECT"}
)  # fmt: skip


def test_json_mode_and_both_schemas_are_left_out_and_nothing_else() -> None:
    before = encode_json(CONFIG)

    assert without_json_mode(CONFIG) == GenerationConfig(top_k=3)
    assert encode_json(CONFIG) == before


@pytest.mark.parametrize(
    ("config", "beside_tools", "words"),
    [
        (GenerationConfig(), False, "Answer only with a JSON value"),
        (
            CONFIG,
            False,
            'Answer only with a JSON value matching this JSON Schema: {"type":"object"}',
        ),
        (
            GenerationConfig(response_schema={"type": "OBJECT"}),
            True,
            'When you answer without calling a tool, answer only with a JSON value matching this JSON Schema: {"type":"OBJECT"}',
        ),
    ],
)
def test_json_is_asked_for_in_words(config: GenerationConfig, beside_tools: bool, words: str) -> None:
    part = json_instruction(config, beside_tools=beside_tools)

    assert part == Part(text=f"{words}, without code fences or other text.")


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (CONFIG, {"mimeType": "APPLICATION_JSON", "schema": SCHEMA}),
        (
            GenerationConfig(top_k=3, response_schema={"a": 1}),
            {"mimeType": "APPLICATION_JSON", "schema": {"a": 1}},
        ),
        (GenerationConfig(top_k=3), {"mimeType": "APPLICATION_JSON"}),
    ],
)
def test_json_beside_maps_is_a_response_format(config: GenerationConfig, text: dict[str, object]) -> None:
    assert maps_json_format(config) == GenerationConfig(top_k=3, response_format={"text": text})


USER = Content([Part(text="hi")], "user")
MODEL = Content([Part(text="ok")], "model")
RESULT = Content([Part(function_response=FunctionResponse("f", {}))], "user")
WORDS = [Part(text="Be brief."), Part(text="\n\n")]


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ([USER, MODEL], [Content([*WORDS, Part(text="hi")], "user"), MODEL]),
        ([MODEL, USER], [Content(WORDS, "user"), MODEL, USER]),
        ([RESULT, MODEL], [Content(WORDS, "user"), RESULT, MODEL]),
        ([Content(None, "user")], [Content(WORDS, "user")]),
    ],
)
def test_an_instruction_is_the_first_thing_the_user_says(
    contents: list[Content], expected: list[Content]
) -> None:
    before = encode_json(contents)

    assert instructed(contents, [Part(text="Be brief.")]) == expected
    assert encode_json(contents) == before
