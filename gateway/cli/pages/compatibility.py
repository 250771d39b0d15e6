"""docs/refer/compatibility.md: the treatment of every request field of every endpoint, from the built-in plugins."""

from gateway.conversation.field_policy import FieldPolicies, markdown
from gateway.server.plugin_loader import BUILT_IN, find_plugin


def endpoints() -> FieldPolicies:
    """Return the field policies of each endpoint."""
    return {endpoint: table for name in BUILT_IN for endpoint, table in find_plugin(name).fields.items()}


def page() -> str:
    """Return the text of docs/refer/compatibility.md."""
    return markdown(endpoints())
