"""docs/do/alerts.md: its metrics exist. nginx answers with codes of docs/refer/errors.md."""

import re

from gateway.observability import prometheus
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "do" / "alerts.md").read_text("utf-8")
FROM_NGINX = {"gateway_down"}
NOT_IN_OPENAI_ERRORS = {"https_required"}
AS_THE_GATEWAY = {
    "method_not_allowed",
    "invalid_request",
    "unknown_url",
    "request_too_large",
    "rate_limit_exceeded",
    "invalid_host",
}
"""Codes of nginx's own refusals, which the gateway has, too."""


def test_nginx_answers_with_the_codes_of_the_page() -> None:
    site = (ROOT / "config" / "nginx.conf").read_text("utf-8")

    assert set(re.findall(r'"code":"(\w+)"', site)) == FROM_NGINX | NOT_IN_OPENAI_ERRORS | AS_THE_GATEWAY


def test_each_metric_of_the_page_exists() -> None:
    known = set(re.findall(r"`(gateway_\w+)`", prometheus.markdown()))

    section = PAGE.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(gateway_\w+)`", section))

    assert len(named) > 5
    assert named - known == set()
