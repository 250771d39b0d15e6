"""The version, the process and its features."""

from typing import Any

from gateway import __version__


async def test_about_names_what_is_on(admin: Any) -> None:
    async with admin.get("/admin/about") as response:
        about = await response.json()
    features = {feature["name"]: feature for feature in about["features"]}

    assert about["version"] == __version__
    assert (features["pool"]["on"], features["pool"]["detail"]) == (True, "2 projects, 2 keys")
    assert features["ledger"] == {"name": "ledger", "on": True, "detail": "sqlite"}
    assert not features["tracing"]["on"]
    assert "chat" in about["plugins"]
    assert all(link["url"].startswith(("https://", "/")) for link in about["links"])
