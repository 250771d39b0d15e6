"""JSON that prompts ask for in words."""

import json

import pytest

from gateway.emulator.json_in_words import ANSWER, described_schema, schema_in_words
from tests.support.emulator import config, text

F3 = "gemini-3-flash-preview"

LONG = "You are an agent of many instructions. Tools return JSON. " * 100


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (  # Qwen Code's judge of its goal
            'Return exactly one JSON object with keys "verdict" and "why". verdict must be "accept" or "reject". No markdown.',
            {"verdict": "accept", "why": "x"},
        ),
        ('Return ONLY a JSON object with a single "title" key. No preamble.', {"title": "x"}),
        ("Answer with JSON only: the fields `done` and `next`. done is a boolean. next: 'user' | 'model'", {"done": True, "next": "user"}),
        ("Reply with one JSON object with the keys score, city and note. score must be an integer.", {"score": 7, "city": "Paris", "note": "x"}),
        (  # Qwen Code's hooks
            'You MUST respond with valid JSON in one of these formats:\n- {"ok": true} - allow\n- {"ok": false, "reason": "..."}',
            {"ok": True},
        ),
        ('Respond in JSON, such as the following:\n{"next_speaker": "user"}', {"next_speaker": "user"}),
        ('Given {"goal": {"id": 7}}, reply in JSON.', {"answer": "PONG"}),
        ("Respond in JSON.", {"answer": "PONG"}),
    ],
)  # fmt: skip
def test_an_object_has_the_keys_that_words_name(words: str, expected: object) -> None:
    assert json.loads(text(F3, words)) == expected
    assert json.loads(text(F3, words, **config(responseMimeType="application/json"))) == expected


def test_in_long_instructions_only_a_plain_demand_counts() -> None:
    demand = 'Return exactly one JSON object with the keys "a" and "b".'

    assert schema_in_words(LONG) is None
    assert schema_in_words(f"{LONG} You may answer in JSON.") is None
    assert schema_in_words(LONG + demand) == schema_in_words(demand)


def test_a_quoted_schema_precedes_keys_and_examples() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    words = f'Only JSON, with the key "name", such as {{"name": "x"}}. The schema: {json.dumps(schema)}'

    assert described_schema(words) == schema


def test_words_without_details_get_an_answer() -> None:
    assert described_schema("JSON, please {not JSON}") == ANSWER


def test_many_objects_in_a_long_text_are_read_in_little_time() -> None:
    assert schema_in_words('Only JSON. {"a": 1}\n' * 20_000) == ANSWER
