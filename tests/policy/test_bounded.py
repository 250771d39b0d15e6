"""The bounded mapping."""

import pytest

from gateway.policy.bounded import BoundedMapping


def filled(bound: int = 3) -> BoundedMapping[str, int]:
    mapping: BoundedMapping[str, int] = BoundedMapping(bound)
    mapping.update({"a": 1, "b": 2, "c": 3})
    return mapping


def test_the_least_recently_used_goes_first() -> None:
    mapping = filled()
    assert mapping["a"] == 1
    assert mapping.get("b") == 2
    mapping["d"] = 4

    assert dict(mapping.items()) == {"a": 1, "b": 2, "d": 4}


def test_looking_without_reading_is_no_use() -> None:
    mapping = filled()
    assert "a" in mapping
    assert list(mapping.values()) == [1, 2, 3]
    mapping["d"] = 4

    assert list(mapping) == ["b", "c", "d"]


def test_an_entry_that_is_written_again_counts_once() -> None:
    mapping = filled()
    mapping["a"] = 9

    assert (dict(mapping.items()), mapping.total) == ({"b": 2, "c": 3, "a": 9}, 3)


def test_sizes_are_added_up_and_room_is_made_for_a_large_entry() -> None:
    mapping: BoundedMapping[str, str] = BoundedMapping(10, size=lambda key, value: len(key + value))
    for key, value in (("a", "12"), ("b", "12"), ("c", "12")):
        mapping[key] = value
    assert mapping.total == 9
    mapping["d"] = "12345"
    assert (list(mapping), mapping.total) == (["c", "d"], 9)
    del mapping["c"]
    assert mapping.pop("d") == "12345"
    assert (len(mapping), mapping.total) == (0, 0)


def test_entries_to_keep_go_only_when_there_are_no_others() -> None:
    mapping: BoundedMapping[str, int] = BoundedMapping(2, keep=lambda value: value > 0)
    mapping.update({"busy": 1, "idle": 0, "new": 1})
    assert list(mapping) == ["busy", "new"]
    mapping["newest"] = 1
    assert list(mapping) == ["new", "newest"]


def test_a_key_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        filled()["x"]
