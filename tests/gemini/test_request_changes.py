"""Changes of a request that avoid a refusal; tests/exchange/calls/test_recovery.py has each of them."""

import msgspec
import pytest
from msgspec import Raw

from gateway.errors import BadRequest, Violation
from gateway.gemini import request_changes as change
from gateway.gemini.wire import (
    Content,
    FunctionResponse,
    GenerateContentRequest,
    GenerationConfig,
    Part,
    SafetySetting,
    ThinkingConfig,
    encode_json,
)

LEARNED = BadRequest("")


def plain() -> GenerateContentRequest:
    return GenerateContentRequest([Content([Part(text="hi")], "user")])


def changed(request: GenerateContentRequest | None) -> GenerateContentRequest:
    assert request is not None
    return request


def left(error: BadRequest) -> list[str]:
    """Return the last letters of the categories that are left of A, B and C."""
    settings = [SafetySetting(f"HARM_CATEGORY_{letter}", "OFF") for letter in "ABC"]
    request = GenerateContentRequest(plain().contents, safety_settings=settings)
    result = change.drop_category(request, error) or request
    return [setting.category[-1] for setting in result.safety_settings or ()]


def test_the_categories_that_a_refusal_points_at_are_dropped() -> None:
    kind = "(type.googleapis.com/google.ai.generativelanguage.v1beta.HarmCategory)"
    lines = [f"Invalid value at 'safety_settings[{i}].category' {kind}, \"X\"" for i in (0, 2)]
    several = BadRequest("\n".join(lines), upstream_status=400)
    several.violations = tuple(Violation("safety_settings", line) for line in lines)
    known = "HarmCategory.HARM_CATEGORY_B, HarmCategory.HARM_CATEGORY_C"
    predicate = (
        f"* GenerateContentRequest.safety_settings[0]: element predicate failed: $.category in ({known})\n"
    )

    assert left(BadRequest(lines[1])) == ["A", "B"]
    assert left(several) == ["B"]
    assert left(BadRequest(predicate)) == ["B", "C"]
    assert left(BadRequest("x\n" + lines[0])) == ["A", "B", "C"]


def test_no_signature_is_put_on_a_part_that_has_one() -> None:
    request = msgspec.json.decode(
        b'{"contents":[{"role":"model","parts":[{"functionCall":{"name":"a"},"thoughtSignature":"S"},'
        b'{"functionCall":{"name":"b"}}]}]}',
        type=GenerateContentRequest,
    )
    assert change.sign(request, LEARNED) is None
    signed = changed(change.sign_anew(request, LEARNED))
    parts = signed.contents[0].parts or []
    assert [part.thought_signature for part in parts] == ["skip_thought_signature_validator", None]


def thinking(config: ThinkingConfig) -> GenerateContentRequest:
    return GenerateContentRequest(
        plain().contents, generation_config=GenerationConfig(thinking_config=config)
    )


def test_of_thinking_only_what_is_refused_is_changed() -> None:
    level, budget = ThinkingConfig(True, None, "MINIMAL"), ThinkingConfig(True, 0)

    def result(request: GenerateContentRequest | None) -> ThinkingConfig | None:
        config = changed(request).generation_config
        return config.thinking_config if config is not None else None

    assert result(change.low_for_minimal(thinking(level), LEARNED)) == ThinkingConfig(True, None, "LOW")
    assert result(change.some_thinking(thinking(budget), LEARNED)) == ThinkingConfig(True, 128)
    assert result(change.without_thinking("thinking_level")(thinking(level), LEARNED)) == ThinkingConfig(True)
    assert (
        result(
            change.without_thinking("thinking_budget")(thinking(ThinkingConfig(thinking_budget=5)), LEARNED)
        )
        is None
    )
    assert change.low_for_minimal(thinking(budget), LEARNED) is None
    assert change.some_thinking(thinking(level), LEARNED) is None
    assert change.without_thinking("thinking_level")(thinking(budget), LEARNED) is None


@pytest.mark.row("T1")
@pytest.mark.parametrize(
    ("response", "text"),
    [
        (b'{"a":"x"}', '{"a":"x"}'),
        (b'{"output":[1, 2]}', "[1, 2]"),
        (b'{"output":[1],"more":[2]}', '{"output":[1],"more":[2]}'),
        (b'{"output":[1],"output":[2]}', '{"output":[1],"output":[2]}'),
        (b'{"output":{"a":1}}', '{"output":{"a":1}}'),
        (b"{}", "{}"),
    ],
)
def test_t01_a_result_is_said_as_one_text(response: bytes, text: str) -> None:
    part = Part(function_response=FunctionResponse("f", Raw(response), "c1"))

    again = changed(change.results_as_text(GenerateContentRequest([Content([part], "user")]), LEARNED))

    assert again.contents[0].parts is not None
    result = again.contents[0].parts[0].function_response
    assert result is not None
    assert msgspec.json.decode(encode_json(result.response)) == {"output": text}


@pytest.mark.row("T1")
@pytest.mark.parametrize("response", [b'{"output":"x \\" y"}', b'{"error":"no result was provided"}'])
def test_t01_a_result_that_is_a_text_stays(response: bytes) -> None:
    part = Part(function_response=FunctionResponse("f", Raw(response)))

    assert change.results_as_text(GenerateContentRequest([Content([part], "user")]), LEARNED) is None
