"""Notes name the client's own fields, once for each kind of place."""

import pytest

from gateway.conversation.notes import Notes, brief, distinct, kind, printable
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


@pytest.mark.row("A13")
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("tools[1].type=mcp", "tools[1].type=mcp"),
        ("google.a\r\nX-Evil: 1", "google.a??X-Evil??1"),
        ("a,b", "a?b"),
        ("é\u2028\x7f", "???"),
        ("x" * 100, "x" * 64),
    ],
)
def test_a13_a_path_is_printable_and_short(path: str, shown: str) -> None:
    assert brief([path]) == [shown]


@pytest.mark.row("A14")
@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        (0, 0),
        (20, 20),
        (21, 20),
        (100_000, 20),
    ],
)
def test_a14_twenty_names_are_shown(paths: int, shown: int) -> None:
    names = [f"f{i}" for i in range(paths)]
    rest = [f"+{paths - shown}"] if paths > shown else []

    assert brief(names) == [*names[:shown], *rest]


@pytest.mark.row("A14")
def test_a14_long_names_are_fewer() -> None:
    names = brief([f"{i:064}" for i in range(1000)])

    assert len(",".join(names)) <= 1024
    assert names[-1] == f"+{1000 - len(names) + 1}"
    assert len(names) > 14
    assert brief(["a", "a", "b"]) == ["a", "b"]


@pytest.mark.row("A14")
def test_a14_names_beyond_those_that_are_shown_are_counted_only(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []

    def search(text: str) -> str:
        searched.append(text)
        return text

    monkeypatch.setattr("gateway.conversation.notes.scrub", search)
    notes = Notes()
    for i in range(5000):
        notes.add_unknown(f"k{i:06}" + "x" * 210)
    same = [f"{'p' * 64}{i}" for i in range(5000)]

    assert brief(notes.distinct())[20:] == ["+4980"]
    assert brief(same) == ["p" * 64, "+4960"]
    assert len(searched) < 200
