"""Services that a plugin has for itself; plugins use them in tests/server/test_plugin_life.py."""

from pathlib import Path

from gateway.exchange.plugin_services import PluginServices
from gateway.observability.statistics import Statistics
from gateway.plugin import SERVICES
from gateway.policy.access import Access, AuthConfig, Client, ClientKey
from gateway.policy.client_rules import Rules
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
    assert await services.budgets_used() == []


async def test_the_pool_s_states_are_public(serve: Serve, tmp_path: Path) -> None:
    serve.environ = {"K": "AIza" + "k" * 35}
    await serve(
        f"pool: {{projects: [{{name: a, keys: [{{env: K}}]}}]}}\nledger: {{url: {tmp_path}/ledger.db}}"
    )

    assert [state.project for state in serve.app[SERVICES].pool_states()] == ["a"]
