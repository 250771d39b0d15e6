"""Lists of prices in several forms, and what differs from the gateway's."""

import json
from datetime import date
from pathlib import Path

import pytest

from gateway.cli.price_comparison import differences, read_prices
from gateway.policy.models.pricing import Price, Prices
from gateway.policy.models.successors import Successor, Successors, timestamp

LITELLM = {
    "sample_spec": {"litellm_provider": "one of ...", "input_cost_per_token": 0},
    "gemini/gemini-x": {
        "litellm_provider": "gemini", "input_cost_per_token": 7.5e-07, "output_cost_per_token": 3.75e-06,
        "cache_read_input_token_cost": 7.5e-08, "input_cost_per_audio_token": 1e-06,
        "output_cost_per_image_token": 3e-05, "input_cost_per_token_above_200k_tokens": 1.5e-06,
    },
    "gemini/free": {"litellm_provider": "gemini", "mode": "chat"},
    "gpt-9": {"litellm_provider": "openai", "input_cost_per_token": 1e-06},
}  # fmt: skip


def read(tmp_path: Path, text: str) -> dict[str, list[dict[str, object]]]:
    (tmp_path / "list").write_text(text)
    return read_prices(tmp_path / "list")


def test_litellms_list_is_read_for_gemini(tmp_path: Path) -> None:
    assert read(tmp_path, json.dumps(LITELLM)) == {
        "gemini-x": [
            {"input": 0.75, "output": 3.75, "cached": 0.075, "audio": 1.0, "image_output": 30.0, "input_over": 1.5}
        ]
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "gemini-x: {input: 1, output: 4}", "prices: {gemini-x: {input: 1, output: 4}}", '{"gemini-x": {"input": 1, "output": 4}}',
        "models: {gemini-x: [{input: 1, output: 4}]}", "{gemini-x: {input: 1, output: 4}, gemini-y: {answered_by: gemini-x}}",
    ],
)  # fmt: skip
def test_a_mapping_of_models_is_read(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {"gemini-x": [{"since": None, "input": 1.0, "output": 4.0}]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "expected a mapping"), ("", "expected a mapping"), ("{", "neither JSON nor YAML"), ("a: [", "neither JSON nor YAML"),
        ("gemini-x: 3", "gemini-x: expected prices"), ("gemini-x: {inptu: 3}", "gemini-x: .*inptu"), ("\x00", "neither"),
    ],
)  # fmt: skip
def test_what_is_no_list_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)


TABLE = Prices(
    "v",
    {
        "gemini-x*": Price(1, 4, audio=2, search=14),
        "gemini-y": [Price(5, 6), Price(7, 8, since=date(2027, 1, 1))],
    },
    successors=Successors({"gemini-old": Successor("gemini-y")}),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("gemini-x-1: {input: 1, output: 4, cached: 1, audio: 2, image_output: 4, input_over: 1}", []),
        ("gemini-x-1: {output: 5, audio: 3}", ["output 4 5", "audio 2 3"]),
        ("gemini-old: {input: 5}", []),
        ("gemini-old: [{input: 5}, {from: 2027-01-01, input: 6}]", []),
        ("gemini-x*: {input: 2}", ["input 1 2"]),
        ("gemini-z*: {output: 2}", ["all None 2"]),
        ("gemini-z: {output: 2}", ["all None 2"]),
        ("gemini-y: {second: 2, search: 0}", ["second 0 2"]),
    ],
)
def test_each_price_that_is_stated_is_compared(tmp_path: Path, text: str, found: list[str]) -> None:
    at = timestamp(date(2026, 12, 31))
    result = [
        f"{d.kind} {(d.here and f'{d.here:g}') or d.here} {d.there:g}"
        for d in differences(TABLE, read(tmp_path, text), at)
    ]

    assert [line.replace("0.0", "0") for line in result] == found
    assert not list(differences(TABLE, {"gemini-y": [{"input": 7.0}]}, timestamp(date(2027, 1, 1))))
