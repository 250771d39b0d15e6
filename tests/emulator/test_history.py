"""Thought signatures of the current turn; `test_validation` has the order of turns."""

import base64
from typing import Any

import pytest

from gateway.emulator.history import SIGNATURE
from gateway.emulator.model_rules import refusal
from tests.support.emulator import user

F3 = "gemini-3-flash-preview"


def _steps(*signatures: str | None) -> dict[str, Any]:
    """A user's turn and a step of one call for each signature."""
    contents: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": "x"}]}]
    for signature in signatures:
        part: dict[str, Any] = {"functionCall": {"name": "f"}}
        contents += [
            {"role": "model", "parts": [part | ({"thoughtSignature": signature} if signature else {})]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
        ]
    return {"contents": contents}


OURS = base64.b64encode(SIGNATURE + b"abc").decode()


@pytest.mark.parametrize(
    ("signatures", "message"),
    [
        ((OURS, OURS), None), ((OURS.replace("+", "-").replace("/", "_").rstrip("="),), None),
        (("skip_thought_signature_validator", "context_engineering_is_the_way_to_go"), None),
        (("skip/thought/signature/validator",), None), ((OURS, "AAAA"), "Thought signature is not valid"), (("A",), "not valid"),
        ((OURS, None), ("Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
         "correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call "
         "`default_api:f` , position 4. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details.")),
    ],
)  # fmt: skip
def test_each_step_of_the_current_turn_is_signed(
    signatures: tuple[str | None, ...], message: str | None
) -> None:
    refused = refusal(F3, _steps(*signatures))

    assert refused is None if message is None else message in str(refused)


def test_only_the_first_of_parallel_calls_is_signed() -> None:
    request = _steps(OURS)
    request["contents"][1]["parts"].append({"functionCall": {"name": "g"}})

    assert refusal(F3, request) is None
    request["contents"][1]["parts"].reverse()
    assert "default_api:g" in str(refusal(F3, request))


def test_a_history_without_a_user_is_all_of_the_current_turn() -> None:
    request = _steps(None)
    del request["contents"][0]

    assert "position 1" in str(refusal(F3, request))


def _step(signature: str | None) -> list[dict[str, Any]]:
    part: dict[str, Any] = {"functionCall": {"name": "f"}}
    if signature:
        part["thoughtSignature"] = signature
    return [
        user("x"),
        {"role": "model", "parts": [part]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
    ]


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (None, "missing a thought_signature"), ("bm90IG91cnM=", "not valid"), ("!", "not valid"),
        ("skip_thought_signature_validator", None),
        ("c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=", None),
    ],
)  # fmt: skip
def test_signatures_are_checked(signature: str | None, message: str | None) -> None:
    refused = refusal(F3, {"contents": _step(signature)})

    assert refused is None if message is None else message in str(refused)


def test_earlier_turns_and_older_models_need_no_signature() -> None:
    assert (
        refusal(F3, {"contents": [*_step(None), {"role": "model", "parts": [{"text": "a"}]}, user("b")]})
        is None
    )
    assert refusal("gemini-2.5-flash", {"contents": _step(None)}) is None
