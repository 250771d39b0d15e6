"""The policy tables of all surfaces, for the compatibility page and its test."""

from collections.abc import Mapping

from gateway.translate.compat import CHAT, Policy, markdown
from gateway.translate.completions import COMPLETIONS
from gateway.translate.embeddings import EMBEDDINGS
from gateway.translate.messages import MESSAGES
from gateway.translate.moderations import MODERATIONS
from gateway.translate.responses import RESPONSES

ENDPOINTS: dict[str, Mapping[str, Policy]] = {
    "POST /v1/chat/completions": CHAT,
    "POST /v1/responses": RESPONSES,
    "POST /v1/messages": MESSAGES,
    "POST /v1/completions": COMPLETIONS,
    "POST /v1/embeddings": EMBEDDINGS,
    "POST /v1/moderations": MODERATIONS,
}


def page() -> str:
    """docs/compatibility.md."""
    return markdown(ENDPOINTS)
