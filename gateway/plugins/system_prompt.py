"""System prompts of the operator's, by client and model, on every generating surface."""

from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gateway.exchange.context import RequestContext
from gateway.exchange.hooks import HookOptions
from gateway.gemini.request_json import JsonObject
from gateway.plugin import Plugin


class Prompt(Struct, frozen=True, forbid_unknown_fields=True):
    """One text, and the requests that get it."""

    text: Annotated[str, Meta(min_length=1, description="The text.")]
    mode: Annotated[
        Literal["prepend", "append", "replace"],
        Meta(
            description="`prepend`: before the client's own system prompt, `append`: after it, `replace`: in its place."
        ),
    ] = "prepend"
    clients: Annotated[
        tuple[str, ...],
        Meta(
            description="Names or ids of issued keys, or fingerprints of clients' own keys, with `*` for any text. "
            "Without any: all clients."
        ),
    ] = ()
    models: Annotated[
        tuple[str, ...],
        Meta(description="Gemini models that are asked, such as `gemini-2.5-*`. Without any: all models."),
    ] = ()

    def applies(self, names: tuple[str, ...], model: str) -> bool:
        """Return whether a client of some names who asks a model gets the text."""
        return _any(self.clients, names) and _any(self.models, (model,))


class SystemPrompt(Plugin):
    """Adds texts to the system prompt, or replaces it."""

    class Config(HookOptions, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.system_prompt`."""

        prompts: Annotated[
            tuple[Prompt, ...],
            Meta(min_length=1, description="Texts. Each that applies is applied, in this order."),
        ]

    async def on_call(self, model: str, body: JsonObject, context: RequestContext) -> JsonObject | None:
        """Apply the texts."""
        client = context.client
        names = (self.services.client_name(client), client.id or client.fingerprint)
        applied = [prompt for prompt in self.config.prompts if prompt.applies(names, model)]
        if not applied:
            return None
        if "cachedContent" in body or not self.services.capability_table.of(model).system:
            return in_first_turn(body, applied)
        return body | {"systemInstruction": instruction(body.get("systemInstruction"), applied)}


def instruction(own: Any, prompts: list[Prompt]) -> JsonObject:
    """Return a client's system instruction with texts in their places."""
    parts = list((own or {}).get("parts") or ())
    for prompt in prompts:
        part = {"text": prompt.text}
        match prompt.mode:
            case "prepend":
                parts = [part, *parts]
            case "append":
                parts = [*parts, part]
            case "replace":
                parts = [part]
    return {"parts": parts}


def in_first_turn(body: JsonObject, prompts: list[Prompt]) -> JsonObject:
    """Return a request whose first turn begins with texts.

    Google refuses a systemInstruction beside cachedContent (https://ai.google.dev/api/caching), and for Gemma.
    """
    contents = list(body.get("contents") or ())
    parts = instruction(None, prompts)["parts"]
    first = contents[0] if contents else {}
    if contents and first.get("role", "user") == "user":
        contents[0] = first | {"parts": [*parts, *(first.get("parts") or ())]}
    else:
        contents.insert(0, {"role": "user", "parts": parts})
    return body | {"contents": contents}


def _any(patterns: tuple[str, ...], names: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns for name in names)
