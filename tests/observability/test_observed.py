"""Observations of a process go on after a reload."""

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES
from gateway.server.application import build_app


def test_a_reload_keeps_the_last_requests() -> None:
    source = Source("", "test.yaml", {})
    config = source.decode(GatewayConfig)
    before = build_app(config, source)[SERVICES]
    before.observed.recent.add(RequestLog("r", "GET", "/", 200))
    after = build_app(config, source, before)[SERVICES]

    assert after.observed.recent is before.observed.recent
    assert after.observed.minutes is before.observed.minutes
