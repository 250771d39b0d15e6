"""The checks of `gateway doctor` in the process that serves."""

from typing import Any

from gateway.cli.doctor_network import failed, passed
from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret
from gateway.console.app import Admin
from gateway.console.process import Process
from gateway.plugin import SERVICES
from tests.support.servers import Serve
from tests.support.team import Team


async def test_the_findings_of_the_command_and_of_the_process(
    team: Team, serve: Serve, aiohttp_client: Any
) -> None:
    await team.start("a")
    asked: list[bool] = []

    def examine(online: bool) -> Any:
        asked.append(online)
        return [passed("python", "fine"), *([failed("online", "refused", "replace it")] if online else [])]

    app = Admin(lambda: serve.app[SERVICES], AdminConfig(Secret("hush")), Process(examine=examine)).app()
    client = await aiohttp_client(app, headers={"Authorization": "Bearer hush"})
    async with client.get("/admin/doctor") as response:
        well = await response.json()
    async with client.get("/admin/doctor?online=1") as response:
        ill = await response.json()
    async with client.get("/admin/doctor", headers={"Accept-Language": "zh-CN"}) as response:
        chinese = (await response.json())["findings"]
    serve.app[SERVICES].counters.degraded = True  # type: ignore[attr-defined]
    checks = {finding["check"]: finding for finding in well["findings"]}

    assert asked == [False, True, False]
    assert (chinese[0]["check"], chinese[0]["result"]) == ("事件循环", "passed")
    assert chinese[0]["message"].startswith("最近一分钟事件循环最多延迟")
    assert (checks["python"]["result"], checks["ledger writer"]["result"]) == ("passed", "passed")
    assert "ms late at most" in checks["event loop"]["message"]
    assert (ill["ok"], ill["findings"][-1]["remedy"]) == (False, "replace it")


async def test_a_process_without_the_command_s_checks_says_so(
    team: Team, serve: Serve, aiohttp_client: Any
) -> None:
    await team.start("a")
    app = Admin(lambda: serve.app[SERVICES], AdminConfig(Secret("hush")), Process()).app()
    client = await aiohttp_client(app, headers={"Authorization": "Bearer hush"})
    async with client.get("/admin/doctor?online=1") as response:
        answer = await response.json()

    assert (answer["ok"], answer["findings"][-1]["result"]) == (True, "skipped")
    assert "this process does not" in answer["findings"][-1]["message"]
