"""Notes name the client's own fields, once for each kind of place."""

import pytest

from gateway.conversation.notes import Notes, distinct, kind, printable
from gateway.errors import UnsupportedParameter


def test_paths_that_differ_only_in_their_indexes_are_noted_once() -> None:
    paths = [
        "messages[1].tool_calls[0]",
        "seed",
        "messages[7].tool_calls[2]",
        "messages.1.content",
        "messages.12.content",
    ]

    assert distinct(paths) == ["messages[1].tool_calls[0]", "seed", "messages.1.content"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [("input[12].output", "input.output"), ("messages.3.content.0", "messages.content"), ("top_p", "top_p"), ("gpt.4o", "gpt.4o")],
)  # fmt: skip
def test_a_kind_has_no_indexes(path: str, expected: str) -> None:
    assert kind(path) == expected


def test_lenient_mode_notes_what_strict_mode_refuses() -> None:
    lenient, strict = Notes(), Notes(strict=True)

    lenient.drop("logprobs", "This model has none.")
    with pytest.raises(UnsupportedParameter) as caught:
        strict.drop("logprobs", "This model has none.")

    assert lenient.distinct() == ["logprobs"]
    assert (caught.value.param, caught.value.status) == ("logprobs", 400)
    assert caught.value.message == "Unsupported parameter: 'logprobs'. This model has none."


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a\r\nSet-Cookie: x", "a??Set-Cookie??x"), ("é", "?"), ("", "?"), ("x" * 99, "x" * 40)],
)
def test_a_clients_word_is_safe_in_a_header(name: str, expected: str) -> None:
    assert printable(name) == expected


def test_a_type_that_cannot_be_used_is_part_of_its_note() -> None:
    notes = Notes()
    for i, kind_of_tool in enumerate(["mcp", "shell", "mcp", "a[1]\r\nb"]):
        notes.add_type(f"tools[{i}]", kind_of_tool)

    assert notes.distinct() == ["tools[0].type=mcp", "tools[1].type=shell", "tools[3].type=a?1???b"]
