"""Models: aliases, abilities, prices, and Google's list."""

from time import monotonic, time
from typing import Any

from aiohttp import web

from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret
from gateway.console.app import Admin
from gateway.plugin import SERVICES
from tests.support.servers import Serve
from tests.support.team import Google, Team

BEARER = {"Authorization": "Bearer hush"}


async def test_a_name_says_what_it_becomes_can_do_and_costs(
    team: Team, google: Google, serve: Serve, aiohttp_client: Any
) -> None:
    more = "models: {aliases: {gpt-4o: gemini-2.5-flash}, fallbacks: {'gemini-2.5-*': [gemini-2.5-pro]}}\n"
    await team.start("ab", more)
    client = await aiohttp_client(
        Admin(lambda: serve.app[SERVICES], AdminConfig(Secret("hush"))).app(), headers=BEARER
    )
    async with client.get("/admin/models") as response:
        shown = await response.json()
    names = [
        {"name": "models/gemini-2.5-flash"}, {"name": "models/gemini-99-unheard-of"}, {"name": "models/gemini-flash-latest"},
    ]  # fmt: skip
    google.answers["AIza-a"] = lambda: web.json_response({"models": names})
    async with client.get("/admin/models?google=1") as response:
        listed = (await response.json())["google"]
    models = {entry["name"]: entry for entry in shown["data"]}

    assert models["gpt-4o"]["kind"] == "alias"
    assert models["gpt-4o"]["becomes"] == "gemini-2.5-flash"
    assert models["gpt-4o"]["fallbacks"] == ["gemini-2.5-pro"]
    assert models["gpt-4o"]["price"]["known"]
    assert models["gpt-4o"]["price"]["output"] > models["gpt-4o"]["price"]["input"] > 0
    assert models["gpt-4o"]["capabilities"]["output"] == ["text"]
    assert (models["gpt-4o"]["refusals"], models["gpt-4o"]["last_used"]) == ([], None)
    assert (models["gpt-4o"]["calls"], models["gemini-2.5-flash"]["calls"]) == (None, 0)
    assert shown["google"] is None
    assert listed == [
        {"name": "gemini-2.5-flash", "known": True},
        {"name": "gemini-99-unheard-of", "known": False},
        {"name": "gemini-flash-latest", "known": True},
    ]


async def test_without_a_pool_google_cannot_be_asked(serve: Serve, aiohttp_client: Any) -> None:
    await serve()
    client = await aiohttp_client(
        Admin(lambda: serve.app[SERVICES], AdminConfig(Secret("hush"))).app(), headers=BEARER
    )
    async with client.get("/admin/models?google=1") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "no_pool")


async def test_a_model_says_what_it_refused_and_when_it_was_used(
    team: Team, serve: Serve, admin: Any
) -> None:
    begin, services = time(), serve.app[SERVICES]
    async with admin.post("/admin/keys", json={"name": "ada"}) as response:
        await team.ask((await response.json())["key"])
    model = next(services.observed.recent.newest_first()).record.model
    assert model is not None
    services.exchange.refusals.learn(model, "thinking", "someone", monotonic(), shared=True)
    async with admin.get("/admin/models") as response:
        shown = {entry["name"]: entry for entry in (await response.json())["data"]}

    assert shown[model]["last_used"] >= begin
    assert shown[model]["refusals"] == ["thinking"]
