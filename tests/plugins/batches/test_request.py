"""Batches, the request."""

import pytest

from gateway.errors import BadRequest, NotFound
from gateway.plugins.batches.request import check_create, identifier, list_query
from gateway.plugins.batches.wire import CreateBatch


@pytest.mark.parametrize(
    ("endpoint", "window", "param"),
    [
        ("/v1/chat/completions", "48h", "completion_window"),
        ("/v1/images/edits", "24h", "endpoint"),
        ("/x", "24h", "endpoint"),
    ],
)
def test_a_batch_that_cannot_be_run_is_refused(endpoint: str, window: str, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        check_create(CreateBatch("file-1", endpoint, window))
    assert refused.value.param == param


@pytest.mark.parametrize(
    "name", ["", "batch_", "batch_" + "g" * 24, "batch_" + "0" * 25, "msgbatch_" + "0" * 24]
)
def test_what_can_be_no_id_is_not_found(name: str) -> None:
    with pytest.raises(NotFound, match="No batch found"):
        identifier(name)


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1" * 9, "\N{SUPERSCRIPT TWO}"])
def test_a_limit_is_a_number_up_to_a_hundred(limit: str) -> None:
    with pytest.raises(BadRequest):
        list_query({"limit": limit})


def test_a_page_is_read() -> None:
    assert (list_query({}).limit, list_query({}).after) == (20, "")
    assert list_query({"after": "batch_" + "0" * 24, "limit": "100"}).after == "0" * 24
