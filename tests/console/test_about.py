"""The version, the process and its features."""

from importlib.metadata import version
from typing import Any

from gateway import __version__
from gateway.console.about import _installed


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


async def test_about_names_the_libraries_with_their_sources_and_licences(admin: Any) -> None:
    async with admin.get("/admin/about") as response:
        libraries = {entry["name"]: entry for entry in (await response.json())["libraries"]}

    assert libraries["aiohttp"]["url"] == "https://github.com/aio-libs/aiohttp"
    assert libraries["aiohttp"]["version"] == version("aiohttp")
    assert {"msgspec", "PyYAML", "uvloop"} <= set(libraries)
    assert not {"pytest", "mypy"} & set(libraries)
    assert [entry for entry in libraries.values() if not entry["licence"]] == []
    assert all(
        entry["url"].startswith("https://") or name == "gemini-openai-gateway"
        for name, entry in libraries.items()
    )


def test_a_library_that_is_not_installed_is_left_out() -> None:
    assert [library.name for library in _installed(["no-such-library", "aiohttp"])] == ["aiohttp"]
