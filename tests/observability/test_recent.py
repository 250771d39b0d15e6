"""The ring of the last requests."""

from gateway.observability.recent import RecentRequests
from gateway.observability.request_log import RequestLog


def filled(count: int, most: int = 5) -> RecentRequests:
    ring = RecentRequests(most)
    for number in range(1, count + 1):
        ring.add(RequestLog(f"r{number}", "POST", "/v1", 200))
    return ring


def test_the_last_ones_are_held_by_number() -> None:
    ring = filled(8)

    assert (ring.newest, ring.oldest, len(ring)) == (8, 4, 5)
    assert [(e.number, e.record.request_id) for e in ring.newest_first()][:2] == [(8, "r8"), (7, "r7")]
    assert [e.number for e in ring.newest_first(6)] == [5, 4]
    assert [e.number for e in ring.newest_first(4)] == []
    assert [e.number for e in ring.newest_first(99)] == [8, 7, 6, 5, 4]


def test_a_viewer_reads_on_and_misses_what_is_gone() -> None:
    ring = filled(8)

    assert [e.number for e in ring.since(6, 10)] == [7, 8]
    assert [e.number for e in ring.since(0, 10)] == [4, 5, 6, 7, 8]
    assert [e.number for e in ring.since(0, 2)] == [7, 8]
    assert ring.since(8, 10) == []
    assert ring.since(9, 10) == []
    assert RecentRequests().since(0, 10) == []


def test_a_record_is_held_by_reference_and_a_failed_one_is_grouped() -> None:
    ring, record = RecentRequests(), RequestLog("r", "POST", "/v1", 503, error="overloaded")
    ring.add(record)

    assert next(ring.newest_first()).record is record
    assert [group.kind.code for group in ring.errors.since(0)] == ["overloaded"]


def test_notes_are_read_once_and_bounded() -> None:
    ring = RecentRequests()
    for number in range(300):
        ring.note("pool", number)

    assert ring.notes_since(298) == [("pool", 298), ("pool", 299)]
    assert len(ring.notes_since(0)) == 200
    assert ring.notes_since(300) == []
