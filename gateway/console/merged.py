"""The answers of all processes as one, in which each thing has the name of its instance."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import convert

from gateway.console.fleet import Parts
from gateway.console.rows import encoded
from gateway.errors import BadRequest
from gateway.observability.minutes import Counts, total

_MOST_CURSOR = 4096
_GROUP = ("code", "status", "upstream_status", "model", "refused_by")
_MOST_KEYS = 10
_MOST_SAMPLES = 5
Body = dict[str, Any]


def plain(value: Any) -> Any:
    """Return a value as JSON has it, without secrets."""
    return msgspec.json.decode(encoded(value))


def places(cursor: str | None, own: str) -> dict[str, int]:
    """Return where a page begins, by instance: the number of the record before. Raises BadRequest."""
    if cursor is None:
        return {}
    try:
        if len(cursor) > _MOST_CURSOR:
            raise msgspec.ValidationError
        if cursor.isascii() and cursor.isdecimal():
            return {own: int(cursor)}
        return msgspec.json.decode(cursor, type=dict[str, int])
    except (msgspec.MsgspecError, ValueError):
        raise BadRequest("Invalid 'cursor': repeat what `next` said.", param="cursor") from None


def pages(limit: int, before: Mapping[str, int], own: tuple[str, Body], parts: Parts) -> Body:
    """Return one page of the last requests, newest first."""
    bodies = _named(own, parts)
    rows = sorted((row for body in bodies.values() for row in body["data"]), key=lambda row: -row["at"])
    more = len(rows) > limit or any(body["next"] for body in bodies.values())
    rows, following = rows[:limit], dict[str, int]()
    for name, body in bodies.items():
        shown = [row["n"] for row in rows if row["instance"] == name]
        following[name] = min(shown, default=before.get(name, body["newest"] + 1))
    cursor = msgspec.json.encode(following).decode()
    return {
        "data": rows,
        "next": (cursor if len(bodies) > 1 else str(following[own[0]])) if more else None,
        **{
            name: sum(body[name] for body in bodies.values())
            for name in ("newest", "held", "matched", "running")
        },
        "oldest_at": min((body["oldest_at"] for body in bodies.values() if body["oldest_at"]), default=None),
        **_names(bodies, parts),
    }


def running(own: tuple[str, Body], parts: Parts, most: int) -> Body:
    """Return all requests in progress, the oldest first."""
    bodies = _named(own, parts)
    rows = sorted((row for body in bodies.values() for row in body["data"]), key=lambda row: row["started"])
    sums = {name: sum(body[name] for body in bodies.values()) for name in ("limit", "waiting")}
    return {"data": rows[:most], **sums, **_names(bodies, parts)}


def errors(own: tuple[str, Body], parts: Parts, most: int) -> Body:
    """Return all groups of errors, the last one hit first. Groups of the same kind are one."""
    bodies = _named(own, parts)
    groups: dict[tuple[Any, ...], Body] = {}
    for name, body in bodies.items():
        for group in body["data"]:
            known = groups.setdefault(tuple(group[key] for key in _GROUP), {**group, "instances": []})
            known["instances"] = [*known["instances"], name]
            if known["samples"] is not group["samples"]:
                _add(known, group)
    data = sorted(groups.values(), key=lambda group: -group["last"])
    others = sum(body["others"] for body in bodies.values()) + max(0, len(data) - most)
    return {"since": own[1]["since"], "data": data[:most], "others": others, **_names(bodies, parts)}


def summaries(own: tuple[str, Body], parts: Parts, most: int) -> Body:
    """Return the counts of all processes; those of `now` and `before` are of `minutes.Counts`.

    What they share, such as the ledger and the pool, is this process's.
    """
    bodies = {own[0]: own[1], **parts.data}
    mine, all_of_them = own[1], list(bodies.values())
    failures = [{**row, "instance": name} for name, body in bodies.items() for row in body["failures"]]
    firsts = [body["first_request"] for body in all_of_them if body["first_request"] is not None]
    needs = {(need["code"], str(need["values"])): need for body in all_of_them for need in body["needs"]}
    for name in parts.silent:
        message = f"{name} did not answer within a second: what it does is missing here."
        values = {"instance": name}
        needs["silent", name] = {
            "code": "instance_silent", "level": "warn", "values": values, "message": message, "page": "#/about",
            "action": None,
        }  # fmt: skip
    series = {
        kind: [sum(numbers) for numbers in zip(*(body["series"][kind] for body in all_of_them), strict=True)]
        for kind in ("ok", "saved", "refused", "failed")
    }
    return {
        **mine,
        "now": total(convert(body["now"], Counts) for body in all_of_them),
        "before": total(convert(body["before"], Counts) for body in all_of_them if body["before"] is not None)
        if any(body["before"] is not None for body in all_of_them)
        else None,
        **{name: sum(body[name] for body in all_of_them) for name in ("running", "waiting", "limit")},
        "series": {**mine["series"], **series},
        "failures": sorted(failures, key=lambda row: -row["at"])[:most],
        "first_request": min(firsts, default=None),
        "needs": list(needs.values()),
        "lately": [body["lately"] for body in all_of_them if "lately" in body],
        "instances": [{"name": name, "version": body["version"]} for name, body in bodies.items()],
        "silent": parts.silent,
    }


def _add(known: Body, group: Body) -> None:
    """Add a group of another process."""
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}
    for key in (*known["keys"], *group["keys"]):
        counts[key["id"]] += key["count"]
        names[key["id"]] = key["name"] or names.get(key["id"], "")
    known["keys"] = [
        {"id": k, "name": names[k], "count": count} for k, count in counts.most_common(_MOST_KEYS)
    ]
    known["count"] += group["count"]
    known["strip"] = [a + b for a, b in zip(known["strip"], group["strip"], strict=True)]
    known["first"], known["last"] = min(known["first"], group["first"]), max(known["last"], group["last"])
    known["samples"] = [*known["samples"], *group["samples"]][:_MOST_SAMPLES]


def _named(own: tuple[str, Body], parts: Parts) -> dict[str, Body]:
    """Return all bodies by instance, and name it in each row that has a place for it."""
    bodies = {own[0]: own[1], **parts.data}
    for name, body in bodies.items():
        for row in body["data"]:
            if "instance" in row:
                row["instance"] = name
    return bodies


def _names(bodies: Mapping[str, Body], parts: Parts) -> Body:
    return {"instances": list(bodies), "silent": parts.silent}
