"""Objects in memory: each key's apart, and a bounded number."""

from gateway.emulator.objects import Objects


def test_an_object_is_its_owners_alone() -> None:
    objects = Objects()
    objects.add("a", "files/1", {"x": 1})
    objects.add("b", "files/2", {})
    objects.add("a", "batches/1", {})

    assert objects.get("a", "files/1") == {"x": 1}
    assert objects.get("b", "files/1") is None
    assert objects.get("", "files/3") is None
    assert (objects.owner("files/2"), objects.owner("files/3")) == ("b", None)
    assert objects.of("a", "files/") == [{"x": 1}]
    objects.remove("files/1")
    objects.remove("files/1")
    assert objects.of("a", "") == [{}]


def test_the_oldest_is_dropped() -> None:
    objects = Objects()
    for number in range(1001):
        objects.add("a", f"files/{number}", {})

    assert objects.owner("files/0") is None
    assert len(objects.of("a", "")) == 1000
