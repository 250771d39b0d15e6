"""docs/refer/admin-api.md."""

from gateway.cli.pages.admin_api import page


def test_an_endpoint_is_a_line_with_its_query_and_body() -> None:
    lines = page().splitlines()

    assert [
        line
        for line in lines
        if line.startswith("| `POST /admin/keys` | Issue a key. |  | `name` (required), `rules`")
    ]
    assert [line for line in lines if "`GET /admin/requests`" in line and "`filter`: such as" in line]
    assert [line for line in lines if "`GET /metrics`" in line and "Needs no token." in line]
