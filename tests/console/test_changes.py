"""Changes by operators."""

from typing import Any


async def test_changes_are_read_page_by_page(admin: Any) -> None:
    for name in ("ada", "bob", "cy"):
        async with admin.post("/admin/keys", json={"name": name}) as response:
            assert response.status == 201
    async with admin.get("/admin/audit?limit=2") as response:
        first = await response.json()
    async with admin.get("/admin/audit", params={"limit": "2", "cursor": first["next"]}) as response:
        rest = await response.json()

    assert [change["detail"] for change in (*first["data"], *rest["data"])] == ["cy", "bob", "ada"]
    assert {(change["who"], change["how"], change["what"]) for change in first["data"]} == {
        ("admin", "token", "key.issue")
    }
    assert rest["next"] is None
