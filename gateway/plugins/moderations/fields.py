"""Moderations: the policy of each request field."""

from gateway.conversation.field_policy import Policy

MODERATIONS: dict[str, Policy] = {
    "input": Policy("mapped", "a text, texts (a call each), or the parts of one thing, images among them"),
    "model": Policy("ignored", "the plugin's own `model` is asked"),
}
"""`POST /v1/moderations`."""
