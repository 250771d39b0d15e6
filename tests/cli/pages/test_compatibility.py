"""docs/refer/compatibility.md: the fields of every endpoint of the built-in plugins."""

from gateway.cli.pages.compatibility import endpoints, page


def test_every_endpoint_that_reads_a_body_is_listed() -> None:
    assert {
        "POST /v1/chat/completions", "POST /v1/completions", "POST /v1/embeddings", "POST /v1/messages",
        "POST /v1/moderations", "POST /v1/responses",
    } <= set(endpoints())  # fmt: skip


def test_a_table_row_has_no_stray_column() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]

    assert [row for row in rows if row.count("|") != 4] == []
    assert len(rows) == sum(map(len, endpoints().values()))
