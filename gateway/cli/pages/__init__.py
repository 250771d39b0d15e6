"""Pages of docs/ that are generated from code; `python -m gateway.cli.pages` in a checkout writes them."""

from collections.abc import Callable

from gateway.cli.pages import clients, compatibility, configuration, log_and_headers
from gateway.observability import prometheus

PAGES: dict[str, Callable[[], str]] = {
    "refer/compatibility.md": compatibility.page,
    "refer/config.md": configuration.page,
    "refer/log.md": log_and_headers.page,
    "refer/metrics.md": prometheus.markdown,
} | clients.PAGES
"""By file name below docs/."""
