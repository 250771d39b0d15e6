"""Results find their calls by id, then by order, and none is lost."""

from collections.abc import Sequence

import pytest

from gateway.conversation.pairing import Call, Item, Result, Turn, distinct_ids, pair
from gateway.gemini.wire import Part
from tests.support.chat import gemini_body


def calls(*names: tuple[str, str] | str) -> Turn:
    """Return a model's turn with calls of (id, name), the name `f` by default."""
    pairs = [name if isinstance(name, tuple) else (name, "f") for name in names]
    return Turn("model", [], "m", [Call(call_id, name, "{}", "c", "a") for call_id, name in pairs])


def answer(call_id: str, text: str, name: str = "") -> Result:
    return Result(call_id, name, [Part(text=text)], text)


def paired(items: Sequence[Item]) -> tuple[list[list[str | None]], list[str]]:
    """Return the text of each call's result, by turn, and the texts of the results that belong to no call."""
    results, orphans = pair(items)
    texts = [
        [results[i, j].at if (i, j) in results else None for j in range(len(item.calls))]
        for i, item in enumerate(items)
        if isinstance(item, Turn) and item.calls
    ]
    return texts, [items[i].at for i in sorted(orphans)]


USER = Turn("user", [Part(text="u")], "u")


@pytest.mark.row("T2")
@pytest.mark.parametrize(
    ("items", "texts", "orphans"),
    [
        ([calls("c", "c"), answer("c", "1"), answer("c", "2")], [["1", "2"]], []),
        ([calls("", ""), answer("", "1"), answer("", "2")], [["1", "2"]], []),
        ([calls(""), answer("", "1")], [["1"]], []),
        ([calls("", ""), answer("", "1", "f"), answer("", "2", "f")], [["1", "2"]], []),
        ([calls(("", "f"), ("", "g")), answer("", "1", "g"), answer("", "2", "f")], [["2", "1"]], []),
        ([calls("a", "b"), answer("", "1"), answer("", "2")], [["1", "2"]], []),
        ([calls("a", "b"), answer("", "1"), answer("a", "2")], [["2", "1"]], []),
        ([calls("", ""), answer("x", "1"), answer("y", "2")], [["1", "2"]], []),
        ([calls("a", ""), answer("x", "1"), answer("a", "2")], [["2", "1"]], []),
        ([calls("c", "c"), answer("c", "1")], [["1", None]], []),
        ([calls("c", "c"), answer("c", "1"), answer("c", "2"), answer("c", "3")], [["1", "3"]], ["2"]),
        ([calls("c"), answer("c", "1"), answer("c", "2"), answer("c", "3")], [["3"]], ["1", "2"]),
        ([calls("c"), answer("c", "1"), answer("c", "1")], [["1"]], []),
        ([calls("c"), answer("c", "1"), USER, calls("c", "c"), answer("c", "2"), answer("c", "3")],
         [["1"], ["2", "3"]], []),
        ([calls("c"), USER, calls("c"), answer("c", "1")], [[None], ["1"]], []),
        ([calls("c"), USER, calls("c"), answer("c", "1"), answer("c", "2")], [["2"], ["1"]], []),
        ([calls("c"), calls("c"), answer("c", "1"), answer("c", "2")], [["1"], ["2"]], []),
        ([calls("a"), answer("b", "1"), answer("", "2")], [["2"]], ["1"]),
        ([answer("c", "1"), calls("c"), answer("c", "2")], [["2"]], ["1"]),
        ([answer("", "1"), calls(""), answer("", "2"), answer("", "3")], [["2"]], ["1", "3"]),
        ([calls(""), answer("", "1", "other")], [[None]], ["1"]),
    ],
)  # fmt: skip
def test_t02_results_are_paired_by_id_and_then_by_order(
    items: list[Item], texts: list[list[str | None]], orphans: list[str]
) -> None:
    assert paired(items) == (texts, orphans)


@pytest.mark.row("T2")
@pytest.mark.parametrize("call_id", ["c", ""])
def test_t02_ten_thousand_calls_of_one_id_take_linear_time(call_id: str) -> None:
    count = 10_000
    items: list[Item] = [calls(*[call_id] * count), *(answer(call_id, str(i)) for i in range(count))]

    assert paired(items) == ([[str(i) for i in range(count)]], [])


@pytest.mark.row("T2")
def test_t02_calls_of_one_turn_get_distinct_ids() -> None:
    assert distinct_ids(calls("a", "a", "a_2", "", "", "a").calls) == ["a", "a_3", "a_2", "", "", "a_4"]


WEATHER = {"type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Moab"}'}}


@pytest.mark.row("T2")
@pytest.mark.parametrize(("call_id", "ids"), [("call-w", ["call-w", "call-w_2"]), ("", [None, None])])
@pytest.mark.parametrize("name", [None, "get_weather"])
def test_t02_both_results_reach_gemini(call_id: str, ids: list[str | None], name: str | None) -> None:
    results = [
        {"role": "tool", "tool_call_id": call_id, "name": name, "content": text} for text in ("cold", "hot")
    ]
    turns = gemini_body(
        {"messages": [{"role": "assistant", "tool_calls": [{"id": call_id, **WEATHER}] * 2}, *results]}
    )["contents"]

    responses = [part["functionResponse"] for part in turns[2]["parts"]]
    assert [response["response"] for response in responses] == [{"output": "cold"}, {"output": "hot"}]
    assert [response.get("id") for response in responses] == ids
    assert [part["functionCall"].get("id") for part in turns[1]["parts"]] == ids
    assert len(turns) == 3
