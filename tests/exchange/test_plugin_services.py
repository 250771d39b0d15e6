"""Services that a plugin has for itself; plugins use them in tests/server/test_plugin_life.py."""

from pathlib import Path

import pytest

from gateway.config.capabilities import shipped
from gateway.config.sections import GatewayConfig
from gateway.errors import BadRequest, Forbidden
from gateway.exchange.plugin_services import PluginServices
from gateway.gemini.capabilities import CapabilityTable
from gateway.observability.statistics import Statistics
from gateway.plugin import SERVICES
from gateway.policy.clients.access import Access, AuthConfig, Client, ClientKey
from gateway.policy.clients.budgets import Budget, BudgetUse
from gateway.policy.clients.client_rules import Rules
from gateway.policy.models.catalog import Catalog, ModelsConfig
from tests.support.servers import Serve


async def test_names_counts_and_folders(tmp_path: Path) -> None:
    services = PluginServices()
    services.statistics, services.access = Statistics(), Access(AuthConfig(), pooled=True)
    services.access.issued = {"h": ClientKey("id1", "carl", "h", 0, None, None, Rules())}
    services.folders = tmp_path / "plugins"
    services.count("x", "seen")
    services.count("x", "seen")

    assert services.statistics.plugin_events == {("x", "seen"): 2}
    assert services.client_name(Client("", "", id="id1")) == "carl"
    assert services.client_name(Client("k", "1234abcd")) == "1234abcd"
    assert services.folder("x") == services.folder("x") == tmp_path / "plugins" / "x"


async def test_the_model_of_a_kind_is_one_that_the_client_may_use() -> None:
    services = PluginServices()
    services.config = GatewayConfig(models=ModelsConfig(image="gemini-3-pro-image"))
    services.catalog, services.capability_table = Catalog(services.config.models), CapabilityTable(shipped())
    painter = Client("", "", id="id1", rules=Rules(models=("imagen-*", "gemini-2.5-*")))

    assert services.route_of_kind(Client("k", "1"), "imagen-4", "image").model == "gemini-3-pro-image"
    assert services.route_of_kind(painter, "gemini-2.5-flash-image", "image").notes == []
    with pytest.raises(Forbidden, match="`imagen-4`, which stands for `gemini-3-pro-image` here"):
        services.route_of_kind(painter, "imagen-4", "image")
    with pytest.raises(Forbidden, match="`gemini-3-pro-image`, which answers requests without a model"):
        services.route_of_kind(painter, None, "image")
    with pytest.raises(BadRequest, match="does not generate images"):
        services.route_of_kind(painter, "gemini-2.5-pro", "image")


async def test_budgets_have_the_time_of_their_last_refusal(serve: Serve) -> None:
    await serve()
    services = serve.app[SERVICES]
    assert await services.budgets_used() == []
    day, month = Budget("tokens", "day", 10), Budget("money", "month", 10)

    async def read() -> list[BudgetUse]:
        return [BudgetUse("carl", day, 9, "id1"), BudgetUse("carl", month, 1, "id1")]

    services.metrics.budgets.read = read
    services.statistics.refused("id1", ("tokens", "day", 10), 5.0)
    services.statistics.refused("id1", ("money", "month", 9), 6.0)  # its limit was another one then

    assert [use.refused for use in await services.budgets_used()] == [5.0, 0.0]
    assert services.statistics.budget_refusals == {
        ("id1", "tokens", "day"): 1,
        ("id1", "dollars", "month"): 1,
    }


async def test_the_pool_s_states_are_public(serve: Serve, tmp_path: Path) -> None:
    serve.environ = {"K": "AIza" + "k" * 35}
    await serve(
        f"pool: {{projects: [{{name: a, keys: [{{env: K}}]}}]}}\nledger: {{url: {tmp_path}/ledger.db}}"
    )

    assert [state.project for state in serve.app[SERVICES].pool_states()] == ["a"]
