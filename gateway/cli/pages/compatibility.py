"""docs/compatibility.md: treatment of every request field of every endpoint, from the plugins' tables."""

from collections.abc import Mapping

from gateway.conversation.field_policy import CHAT, Policy, markdown
from gateway.plugins.completions.translation import COMPLETIONS
from gateway.plugins.embeddings.fields import EMBEDDINGS
from gateway.plugins.messages.request import MESSAGES
from gateway.plugins.moderations.translation import MODERATIONS
from gateway.plugins.responses.request import RESPONSES

ENDPOINTS: dict[str, Mapping[str, Policy]] = {
    "POST /v1/chat/completions": CHAT,
    "POST /v1/responses": RESPONSES,
    "POST /v1/messages": MESSAGES,
    "POST /v1/completions": COMPLETIONS,
    "POST /v1/embeddings": EMBEDDINGS,
    "POST /v1/moderations": MODERATIONS,
}


def page() -> str:
    """Return docs/compatibility.md."""
    return markdown(ENDPOINTS)
