"""References to stored items: collected first, then read."""

import pytest

from gateway.plugins.responses.references import ItemsReferenced, References
from gateway.plugins.responses.wire import STAND_IN, Item


def test_references_are_counted_until_they_are_looked_up() -> None:
    references = References(None)
    references.check()
    for name, at in (("a", "input[0].id"), ("b", "input[1].id"), ("a", "input[2].id")):
        assert references.item(name, at) is None

    with pytest.raises(ItemsReferenced) as wanted:
        references.check()
    assert wanted.value.references == {"a": 2, "b": 1}
    assert (wanted.value.status, wanted.value.param) == (400, "input[0].id")


def test_an_item_that_was_not_found_is_named_without_keys() -> None:
    references = References(
        {"a": {"type": "message"}, "loop": {"type": "item_reference", "id": "loop"}, "odd": {"type": 5}}
    )

    assert references.item("a", "input[0].id") == Item(type="message")
    assert references.item("odd", "input[0].id") == STAND_IN
    assert references.value(Item(type="item_reference", id="odd")) == {"type": 5}
    for other in (Item(id="no"), Item(), Item(type="message", id="odd")):
        assert references.value(other) is None
    for name in ("AIza" + "x" * 35, "loop"):
        with pytest.raises(ItemsReferenced) as unknown:
            references.item(name, "input[1].id")
        assert unknown.value.param == "input[1].id"
        assert "AIzaxxx" not in unknown.value.message
