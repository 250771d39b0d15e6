"""Groups of failures."""

from gateway.observability.error_groups import SLOT, ErrorGroups
from gateway.observability.request_log import RequestLog

NOW = 1_000 * SLOT + 10.0


def failure(number: int = 0, model: str = "m", key: str = "key_a", code: str = "overloaded") -> RequestLog:
    return RequestLog(f"r{number}", "POST", "/v1", 503, model, key=key, upstream_status=503, error=code)


def test_failures_of_a_kind_are_one_group_with_a_strip() -> None:
    groups = ErrorGroups()
    for number, at in enumerate((NOW - 60 * SLOT, NOW - 47 * SLOT, NOW - SLOT, NOW, NOW)):
        groups.add(failure(number, key=f"key_{number % 2}"), at)
    (group,) = groups.since(NOW - 5)

    assert group.kind == ("overloaded", 503, 503, "m", "")
    assert (group.first, group.last) == (NOW - 60 * SLOT, NOW)
    assert (group.strip(NOW)[0], group.strip(NOW)[-2:]) == (1, [1, 2])
    assert group.keys == {"key_0": 3, "key_1": 2}
    assert list(group.samples) == ["r0", "r1", "r2", "r3", "r4"]
    assert groups.since(NOW + 1) == []


def test_what_the_gateway_refuses_is_one_group_whether_or_not_google_was_asked() -> None:
    groups = ErrorGroups()
    for limit in ("pool", "google GenerateRequestsPerMinute 15"):
        for status in (429, None):
            record = RequestLog(
                "r", "POST", "/v1", 429, "m", upstream_status=status, error="e", refused_by=limit
            )
            groups.add(record, NOW)

    assert [(g.kind.refused_by, g.kind.upstream_status, sum(g.slots.values())) for g in groups.since(0)] == [
        ("pool", None, 2), ("google", 429, 1), ("google", None, 1),
    ]  # fmt: skip


def test_texts_of_clients_are_no_names_and_numbers_are_bounded() -> None:
    groups = ErrorGroups()
    groups.add(failure(model="AIzaSyD-secret-secret-secret-secret-secr"), NOW)
    groups.add(failure(model="x" * 5000), NOW)
    for number in range(1000):
        groups.add(failure(number, model=f"m{number}", key=f"key_{number}"), NOW)
        groups.add(failure(number, key=f"key_{number}"), NOW)
    known = groups.since(0)

    assert len(known) == 300
    assert max(len(group.keys) for group in known) <= 50
    assert max(len(group.kind.model) for group in known) <= 80
