"""The configuration in effect, on disk, checked and reloaded."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config.admin import AdminConfig
from gateway.config.load import load
from gateway.config.secret import Secret
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.console.app import Admin
from gateway.console.process import Process
from gateway.plugin import SERVICES
from gateway.server.application import build_app
from gateway.server.process.reload import AppSwitcher

TEXT = """models: {default: gemini-2.5-flash}
listen: {port: 0}
auth: {passthrough: true}
upstream: {proxy: "http://user:hunter2secret@127.0.0.1:9"}
pool: {projects: [{name: a, keys: [{env: KEY_A}]}]}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEY_A", "AIzaSyD-secret-secret-secret-secret-secr")
    path = tmp_path / "g.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
async def admin(file: Path, aiohttp_client: Any) -> AsyncIterator[Any]:
    config, source = load(file)
    switcher = AppSwitcher(config, build_app(config, source), lambda: load(file))
    switcher.source = source
    await switcher.start([])
    process = Process(
        configuration=lambda: (switcher.config, switcher.source, switcher.loaded),
        check=switcher.check,
        on_disk=switcher.on_disk,
        reload=switcher.reload,
        opened=lambda: switcher.opened,
    )
    app = Admin(lambda: switcher.app[SERVICES], AdminConfig(Secret("hush")), process).app()
    yield await aiohttp_client(app, headers={"Authorization": "Bearer hush"})
    await switcher.stop()


async def call(admin: Any, method: str, path: str, body: Any = None) -> Any:
    async with admin.request(method, path, json=body) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_settings_say_where_they_come_from_and_hide_secrets(admin: Any, file: Path) -> None:
    shown = await call(admin, "GET", "/admin/config")
    settings = {setting["path"]: setting for setting in shown["settings"]}

    assert (shown["file"], shown["on_disk"]["differs"], shown["restart_needed"]) == (str(file), False, [])
    assert (settings["models.default"]["value"], settings["models.default"]["own"]) == (
        "gemini-2.5-flash",
        True,
    )
    assert (settings["listen.host"]["value"], settings["listen.host"]["own"]) == ("127.0.0.1", False)
    assert settings["listen.port"]["restart"]
    assert "TCP port" in settings["listen.port"]["description"]
    assert settings["pool.projects"]["value"] == [{"name": "a", "keys": [{"env": "KEY_A"}]}]
    assert "secret" not in str(shown["settings"]).replace("is a secret", "")


async def test_an_edit_on_disk_is_seen_and_taken_over(admin: Any, file: Path) -> None:
    file.write_text(TEXT.replace("2.5-flash}", "2.5-pro}").replace("port: 0", "port: 1"))
    before = await call(admin, "GET", "/admin/config")
    outcome = await call(admin, "POST", "/admin/config/reload")
    again = await call(admin, "POST", "/admin/config/reload")
    after = await call(admin, "GET", "/admin/config")
    settings = {setting["path"]: (setting["running"], setting["value"]) for setting in after["settings"]}

    assert "models.default: 'gemini-2.5-flash' -> 'gemini-2.5-pro'" in before["on_disk"]["changes"]
    assert before["restart_needed"] == ["listen.port"]
    assert (outcome["changed"], outcome["differs"]) == (True, True)
    assert (again["changed"], again["differs"]) == (True, False)
    assert settings["listen.port"] == (0, 1)
    assert settings["models.default"] == ("gemini-2.5-pro", "gemini-2.5-pro")
    assert "listen.port needs a restart" in outcome["message"]
    assert (after["on_disk"]["differs"], after["restart_needed"]) == (False, ["listen.port"])
    assert before["hash"] != after["hash"]


async def test_a_fault_on_disk_changes_nothing(admin: Any, file: Path) -> None:
    file.write_text("models: {defualt: x}\n")
    shown = await call(admin, "GET", "/admin/config")
    outcome = await call(admin, "POST", "/admin/config/reload")

    assert "g.yaml:1:10: unknown key 'defualt'" in shown["on_disk"]["fault"]
    assert not outcome["changed"]
    assert "nothing was changed" in outcome["message"]


async def test_what_waits_for_a_restart_is_said_of_a_faulty_file_too(admin: Any, file: Path) -> None:
    file.write_text(TEXT.replace("port: 0", "port: 1"))
    await call(admin, "POST", "/admin/config/reload")
    file.write_text("models: {defualt: x}\n")
    shown = await call(admin, "GET", "/admin/config")

    assert (bool(shown["on_disk"]["fault"]), shown["restart_needed"]) == (True, ["listen.port"])


async def test_a_file_that_was_removed_is_a_fault_and_a_text_without_a_file_is_not_compared(
    admin: Any, file: Path, aiohttp_client: Any
) -> None:
    file.unlink()
    assert "g.yaml" in (await call(admin, "GET", "/admin/config"))["on_disk"]["fault"]

    source = Source("", "demo")
    config = source.decode(GatewayConfig)
    switcher = AppSwitcher(config, build_app(config, source), lambda: (config, source))
    process = Process(configuration=lambda: (config, source, 0.0), on_disk=switcher.on_disk)
    app = Admin(lambda: switcher.app[SERVICES], AdminConfig(Secret("hush")), process).app()
    client = await aiohttp_client(app, headers={"Authorization": "Bearer hush"})
    shown = await call(client, "GET", "/admin/config")

    assert (shown["file"], shown["on_disk"]) == ("demo", None)


@pytest.mark.parametrize(
    ("yaml", "faults", "changes"),
    [
        (TEXT, [], []),
        (TEXT.replace("true", "false"), [], ["auth.passthrough: True -> False"]),
        ("models: {defualt: x}", [(1, 10, "unknown key 'defualt'")], []),
        ("a: [", [(1, 5, "")], []),
        ("plugins: {no_such_plugin: {}}", [(1, 27, "no_such_plugin")], []),
    ],
)
async def test_a_draft_is_checked_without_being_used(
    admin: Any, yaml: str, faults: list[tuple[int, int, str]], changes: list[str]
) -> None:
    result = await call(admin, "POST", "/admin/config/check", {"yaml": yaml})

    assert [(fault["line"], fault["column"]) for fault in result["faults"]] == [fault[:2] for fault in faults]
    assert all(text in fault["message"] for (_, _, text), fault in zip(faults, result["faults"], strict=True))
    assert (result["ok"], result["changes"]) == (not faults, changes)


async def test_a_process_of_another_kind_says_so(team: Any, serve: Any, aiohttp_client: Any) -> None:
    await team.start("a")
    app = Admin(lambda: serve.app[SERVICES], AdminConfig(Secret("hush"))).app()
    client = await aiohttp_client(app, headers={"Authorization": "Bearer hush"})
    for method, path, body in (
        ("GET", "/admin/config", None), ("POST", "/admin/config/reload", None), ("POST", "/admin/config/check", {"yaml": ""}),
    ):  # fmt: skip
        async with client.request(method, path, json=body) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (503, "not_available")
