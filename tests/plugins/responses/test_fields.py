"""The policy of each field of Responses."""

import json
from typing import Any

import pytest
from msgspec import Raw

from gateway.conversation.field_policy import review
from gateway.conversation.notes import Notes
from gateway.errors import UnsupportedParameter
from gateway.plugins.responses.fields import RESPONSES
from gateway.plugins.responses.wire import ResponseRequest


def notes(*, strict: bool = False, **fields: Any) -> list[str]:
    noted = Notes(strict=strict)
    review({name: Raw(json.dumps(value).encode()) for name, value in fields.items()}, RESPONSES, noted)
    return noted.distinct()


def test_the_table_and_the_decoded_fields_agree() -> None:
    read = {
        name for name, policy in RESPONSES.items() if policy.treatment in ("mapped", "emulated", "clamped")
    }

    assert read | {"conversation", "prompt"} == set(ResponseRequest.__struct_fields__)


def test_harmless_fields_are_noted_unless_they_ask_for_nothing() -> None:
    assert notes(user="u", truncation="auto", x_vendor=1) == ["user", "truncation", "x_vendor"]
    assert notes(user="", truncation="disabled", max_tool_calls=None) == []
    assert notes(strict=True, user="u") == ["user"]


@pytest.mark.parametrize("field", ["conversation", "prompt"])
def test_strict_mode_refuses_what_openai_keeps(field: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        notes(strict=True, **{field: "x"})

    assert caught.value.param == field
