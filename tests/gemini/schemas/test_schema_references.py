"""References inside a JSON Schema."""

import pytest

from gateway.gemini.schemas.schema_references import (
    InlineBudget,
    References,
    SchemaTooLarge,
    circular,
)
from tests.support.steps import steps


def test_circles_are_the_nodes_that_lead_to_themselves() -> None:
    edges = {"A": {"B"}, "B": {"C"}, "C": {"B"}, "Self": {"Self"}, "Leaf": set[str]()}

    assert circular(edges) == {"B", "C", "Self"}


def chain(length: int) -> dict[str, set[str]]:
    """A graph in which each node leads to the next."""
    return {f"D{i}": {f"D{i + 1}"} for i in range(length)} | {f"D{length}": set()}


@pytest.mark.row("A4")
def test_a04_the_time_for_circles_is_linear() -> None:
    """A chain was walked from each of its names: twice the names took four times as long."""
    short = steps(lambda: circular(chain(500)))
    long = steps(lambda: circular(chain(2000)))

    assert long < 4.5 * short


@pytest.mark.row("A4")
def test_a04_a_long_circle_is_seen() -> None:
    edges = chain(5000) | {"D5000": {"D0"}, "Out": {"D7"}}

    assert circular(edges) == {f"D{i}" for i in range(5001)}


@pytest.mark.row("A4")
def test_a04_a_target_is_walked_once() -> None:
    root = {"x": {"a": list(range(5000))}}
    references = References(root, "f", InlineBudget(1_000_000))
    references.inline(root["x"])

    assert steps(lambda: [references.inline(root["x"]) for _ in range(100)]) < 5000


@pytest.mark.row("A3", "A4")
def test_a03_what_is_inlined_is_charged() -> None:
    root = {"x": {"a": [1] * 96}, "y": {"text": "x" * 640}, "$defs": {"Z": {"k" * 640: 1}}}
    budget = InlineBudget(317)
    references = References(root, "tools[3].parameters", budget)
    for _ in range(3):
        references.inline(root["x"])
    references.inline(root["y"])
    with pytest.raises(
        SchemaTooLarge, match=r"^Invalid 'tools\[3\].parameters': more than 317 values once"
    ) as caught:
        references.inline(references.definitions["Z"])

    assert caught.value.param == "tools[3].parameters"
    assert caught.value.at("f").message.startswith("Invalid 'f': more than 317 values")


@pytest.mark.row("T3", "A4")
def test_t03_a_chain_of_aliases_is_followed_and_charged() -> None:
    root = {"$ref": "#/$defs/D0", "$defs": {f"D{i}": {"$ref": f"#/$defs/D{i + 1}"} for i in range(50)}}
    root["$defs"]["D50"] = {"type": "string"}  # type: ignore[index]

    target, beside = References(root, "f", InlineBudget()).resolve(root)

    assert target is not None
    assert (target.name, target.schema, beside) == ("D50", {"type": "string"}, {})
    with pytest.raises(SchemaTooLarge):
        References(root, "f", InlineBudget(20)).resolve(root)
