"""The answers of all processes as one."""

from typing import Any

import pytest

from gateway.console.fleet import Parts
from gateway.console.merged import errors, pages, places, plain, running, summaries
from gateway.errors import BadRequest
from gateway.observability.minutes import Counts


def page(*rows: tuple[int, float], following: int | None = None) -> dict[str, Any]:
    data = [{"n": n, "at": at, "instance": "x"} for n, at in rows]
    return {
        "data": data,
        "next": following,
        "newest": 9,
        "oldest_at": 5.0,
        "held": 9,
        "matched": 9,
        "running": 1,
    }


def test_requests_of_all_are_one_list_with_a_place_in_each() -> None:
    own, other = page((9, 90.0), (8, 70.0)), page((5, 80.0), (4, 60.0), following=4)
    body = pages(3, {}, ("vps1", own), Parts({"vps2": other}, ["vps3"]))

    assert [(row["instance"], row["n"]) for row in body["data"]] == [("vps1", 9), ("vps2", 5), ("vps1", 8)]
    assert (body["newest"], body["running"], body["instances"], body["silent"]) == (
        18,
        2,
        ["vps1", "vps2"],
        ["vps3"],
    )
    assert places(body["next"], "vps1") == {"vps1": 8, "vps2": 5}


def test_one_process_alone_counts_as_before() -> None:
    body = pages(1, {}, ("vps1", page((9, 90.0), following=9)), Parts())

    assert body["next"] == "9"
    assert places("9", "vps1") == {"vps1": 9}
    assert places(None, "vps1") == {}
    assert pages(5, {}, ("vps1", page((9, 90.0))), Parts())["next"] is None


@pytest.mark.parametrize("cursor", ["x", "[]", '{"a": "b"}', "{" * 5000])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadRequest, match="repeat what `next` said"):
        places(cursor, "vps1")


def test_requests_in_progress_of_all() -> None:
    def body(started: float) -> dict[str, Any]:
        return {"data": [{"started": started, "instance": "x"}], "limit": 10, "waiting": 1}

    merged = running(("vps1", body(2.0)), Parts({"vps2": body(1.0)}), 500)

    assert [row["instance"] for row in merged["data"]] == ["vps2", "vps1"]
    assert (merged["limit"], merged["waiting"]) == (20, 2)


def test_errors_of_one_kind_are_one_group() -> None:
    def body(code: str, count: int, last: float) -> dict[str, Any]:
        group = {
            "code": code, "status": 429, "upstream_status": None, "model": "m", "refused_by": "", "count": count, "strip": [0, count],
            "first": last - 1, "last": last, "keys": [{"id": "k", "name": "ada", "count": count}], "samples": [f"req_{last}"],
        }  # fmt: skip
        return {"since": 0.0, "data": [group], "others": 0}

    merged = errors(
        ("vps1", body("a", 1, 5.0)), Parts({"vps2": body("a", 2, 9.0), "vps3": body("b", 1, 7.0)}), 200
    )
    first, second = merged["data"]

    assert (first["code"], first["count"], first["strip"], first["first"], first["last"]) == (
        "a",
        3,
        [0, 3],
        4.0,
        9.0,
    )
    assert first["keys"] == [{"id": "k", "name": "ada", "count": 3}]
    assert (first["instances"], second["instances"]) == (["vps1", "vps2"], ["vps3"])


def test_the_overview_adds_what_each_process_counts_and_names_the_silent_one() -> None:
    def body(ok: int, at: float, before: Counts | None) -> dict[str, Any]:
        need = {
            "code": "refused_now",
            "values": {"count": 5},
            "level": "bad",
            "message": "",
            "page": "",
            "action": None,
        }
        return dict(plain({
            "version": "1", "first_request": at, "now": Counts(ok=ok), "before": before, "running": 1, "waiting": 0,
            "limit": 10, "series": {"start": 0, **{kind: [ok, 0] for kind in ("ok", "saved", "refused", "failed")}},
            "failures": [{"at": at, "instance": "x"}], "needs": [need],
        }))  # fmt: skip

    parts = Parts({"vps2": body(2, 9.0, Counts(ok=7))}, ["vps3"])
    merged = summaries(("vps1", body(1, 5.0, None)), parts, 10)

    assert (merged["now"].ok, merged["before"].ok, merged["running"], merged["limit"]) == (3, 7, 2, 20)
    assert merged["series"]["ok"] == [3, 0]
    assert [row["instance"] for row in merged["failures"]] == ["vps2", "vps1"]
    assert [need["code"] for need in merged["needs"]] == ["refused_now", "instance_silent"]
    assert merged["needs"][1]["message"].startswith("vps3 did not answer within a second")
    assert (merged["first_request"], [i["name"] for i in merged["instances"]]) == (5.0, ["vps1", "vps2"])
