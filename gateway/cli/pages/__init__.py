"""Pages of docs/ that are generated from code; `python -m gateway.cli.pages` in a checkout writes them."""

from collections.abc import Callable

from gateway.cli.pages import clients, compatibility, configuration, log_and_headers
from gateway.observability import prometheus

PAGES: dict[str, Callable[[], str]] = {
    "compatibility.md": compatibility.page,
    "configuration.md": configuration.page,
    "log-and-headers.md": log_and_headers.page,
    "metrics.md": prometheus.markdown,
} | clients.PAGES
"""By file name below docs/."""
