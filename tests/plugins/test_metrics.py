"""`GET /metrics` on the public listener."""

import sys

import aiohttp
import pytest

from gateway.errors import ConfigError
from tests.support.servers import Serve


async def test_metrics_are_served_where_the_plugin_is_active(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    base = await serve("plugins: {metrics: {}, health: {}}")
    async with http.get(base + "/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert 'gateway_build_info{version="' in await response.text()


async def test_without_the_plugin_there_are_none(http: aiohttp.ClientSession, serve: Serve) -> None:
    base = await serve("plugins: {hello: {}}")
    async with http.get(base + "/metrics") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "unknown_url")


async def test_a_missing_package_is_a_fault_of_the_configuration(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match="plugin 'metrics': `metrics` needs the package prometheus-client"):
        await serve("plugins: {metrics: {}}")
