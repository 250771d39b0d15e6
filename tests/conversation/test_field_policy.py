"""Field policies: which fields of a body are noted, refused, or pass, and the page that lists them."""

import json
from typing import Any

import pytest
from msgspec import Raw

from gateway.conversation.field_policy import Policy, Treatment, markdown, review
from gateway.conversation.notes import Notes
from gateway.errors import UnsupportedParameter

TABLE = {
    "mapped": Policy("mapped", "as it is"),
    "emulated": Policy("emulated", "by the gateway"),
    "clamped": Policy("clamped", "in range"),
    "ignored": Policy("ignored", "harmless"),
    "dropped": Policy("dropped", "no counterpart"),
    "tier": Policy("ignored", "the default answers", (None, "auto")),
}


def noted(*, strict: bool = False, **fields: Any) -> list[str]:
    """Return the notes on a body."""
    notes = Notes(strict=strict)
    review({name: Raw(json.dumps(value).encode()) for name, value in fields.items()}, TABLE, notes)
    return notes.distinct()


@pytest.mark.parametrize("treatment", ["mapped", "emulated", "clamped"])
def test_a_field_that_is_honoured_is_never_noted_here(treatment: Treatment) -> None:
    assert noted(strict=True, **{treatment: "x"}) == []


@pytest.mark.parametrize("value", [None, False, [], {}, ""])
def test_a_value_that_asks_for_nothing_passes(value: Any) -> None:
    assert noted(strict=True, ignored=value, dropped=value) == []


@pytest.mark.parametrize("value", [0, 0.0, True, [None], {"a": None}, " ", "x" * 100, [0] * 100])
def test_any_other_value_asks_for_something(value: Any) -> None:
    assert noted(ignored=value, dropped=value) == ["ignored", "dropped"]


def test_a_policy_has_its_own_neutral_values() -> None:
    assert noted(tier="auto") == []
    assert noted(tier="") == ["tier"]


@pytest.mark.parametrize("strict", [False, True])
def test_harmless_and_unknown_fields_are_notes_in_both_modes(strict: bool) -> None:
    assert noted(strict=strict, ignored="u", **{"weird\r\nname": 1, "": 1}) == ["ignored", "weird??name", "?"]


def test_a_field_that_changes_the_answer_is_a_note_or_a_400() -> None:
    assert noted(dropped={"1": 2}) == ["dropped"]
    with pytest.raises(UnsupportedParameter, match="no counterpart") as caught:
        noted(strict=True, dropped={"1": 2})
    assert (caught.value.param, caught.value.status) == ("dropped", 400)


def test_the_page_has_a_row_for_each_field() -> None:
    text = markdown({"POST /v1/x": TABLE, "POST /v1/y": {"a": Policy("mapped", "`b`")}})

    assert (
        "\n## POST /v1/x\n\n| field | treatment | how |\n|---|---|---|\n| `mapped` | mapped | as it is |\n"
        in text
    )
    assert text.endswith(
        "\n## POST /v1/y\n\n| field | treatment | how |\n|---|---|---|\n| `a` | mapped | `b` |\n"
    )
