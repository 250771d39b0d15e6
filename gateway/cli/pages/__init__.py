"""Pages of docs/ that are generated from code; `python -m gateway.cli.pages` in a checkout writes them."""

from collections.abc import Callable

from gateway.cli.pages import (
    admin_api,
    clients,
    commands,
    compatibility,
    configuration,
    errors,
    llms,
    log_and_headers,
    models,
)
from gateway.observability import prometheus

PAGES: dict[str, Callable[[], str]] = {
    "llms.txt": llms.page,
    "refer/admin-api.md": admin_api.page,
    "refer/cli.md": commands.page,
    "refer/compatibility.md": compatibility.page,
    "refer/config.md": configuration.page,
    "refer/errors.md": errors.page,
    "refer/headers.md": log_and_headers.headers_page,
    "refer/log.md": log_and_headers.log_page,
    "refer/metrics.md": prometheus.markdown,
    "refer/models.md": models.models_page,
    "refer/prices.md": models.prices_page,
} | clients.PAGES
"""By file name below docs/."""
