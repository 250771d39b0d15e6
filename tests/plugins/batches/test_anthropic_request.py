"""Anthropic's batches, the request: ids, pages, and the file of the requests."""

import json
from pathlib import Path

import pytest

from gateway.errors import BadRequest, NotFound
from gateway.plugins.batches.anthropic_request import (
    ListQuery,
    StoredLines,
    check,
    decode_create,
    identifier,
    list_query,
    write_lines,
)

ID = "0" * 24


def test_requests_are_kept_line_by_line_whatever_their_spelling(tmp_path: Path) -> None:
    params = {
        "model": "m",
        "messages": [{"role": "user", "content": "a\nb \u2028 \ud55c"}],
        "n": 12345678901234567890,
    }
    body = json.dumps(
        {"requests": [{"custom_id": "a", "params": params}, {"custom_id": "b", "params": {}}]}, indent=2
    )
    entries = decode_create(body.encode()).requests
    write_lines(tmp_path / "x", entries)
    lines = StoredLines(tmp_path / "x")

    assert lines.faults() == []
    first, second = lines.read()
    assert (first.number, first.custom_id, json.loads(first.body)) == (0, "a", params)
    assert (second.number, second.custom_id, second.body) == (1, "b", b"{}")
    assert (tmp_path / "x").read_bytes().count(b"\n") == 2


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        StoredLines(tmp_path / "x").faults()


def test_more_requests_than_are_taken_are_refused() -> None:
    entries = decode_create(
        b'{"requests": [{"custom_id": "a", "params": {}}, {"custom_id": "b", "params": {}}]}'
    )
    check(entries.requests, 2)
    with pytest.raises(BadRequest, match="maximum length 1, but got an array with length 2"):
        check(entries.requests, 1)


@pytest.mark.parametrize(
    "name", ["", "batch_" + ID, "msgbatch_", "msgbatch_" + "g" * 24, f"msgbatch_{ID}/../x"]
)
def test_other_names_are_no_batch(name: str) -> None:
    with pytest.raises(NotFound):
        identifier(name)
    assert identifier(f"msgbatch_{ID}") == ID


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ListQuery(20)),
        ({"limit": "1000", "after_id": "x"}, ListQuery(1000, "x")),
        ({"before_id": "x"}, ListQuery(20, "x", True)),
        ({"limit": "1001"}, None), ({"limit": "\u0661"}, None), ({"limit": "-1"}, None),
        ({"before_id": "x", "after_id": "y"}, None),
    ],
)  # fmt: skip
def test_a_page_is_asked_for(query: dict[str, str], expected: ListQuery | None) -> None:
    if expected is None:
        with pytest.raises(BadRequest):
            list_query(query)
    else:
        assert list_query(query) == expected
