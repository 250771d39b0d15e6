"""System prompts of the operator's, by client and model, on every generating surface."""

import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gateway.errors import BadRequest
from gateway.exchange.context import RequestContext
from gateway.exchange.hooks import HookOptions
from gateway.gemini.request_json import JsonObject
from gateway.plugin import Plugin
from gateway.policy.models.native_methods import generates, is_silent

_MODEL = re.compile(r"/models/([^/:]+):")
_INTERACTIONS = re.compile(r"/v1(?:beta|alpha)?/interactions(?:/[^/:]+/cancel)?")
_SPELLINGS = ("system_instruction", "systemInstruction")
_NO_SYSTEM_PROMPT = (
    "This gateway adds a system prompt, which cannot be added to calls of this method: use generateContent, "
    "streamGenerateContent, or an interaction with a model."
)


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
        Meta(
            description="Gemini models that are asked or that answer, such as `gemini-2.5-*`. Without any: all models."
        ),
    ] = ()

    def applies(self, names: Collection[str], models: Collection[str]) -> bool:
        """Return whether a client of some names gets the text for a model of some names, none if it is not known."""
        return _any(self.clients, names) and (not models or _any(self.models, models))


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
        applied = self._applied(model, context)
        if not applied:
            return None
        if "system_instruction" in body:  # beside `systemInstruction`; Google may read either
            raise BadRequest(
                "`systemInstruction` and `system_instruction` are one field: send one of them.",
                param="systemInstruction",
            )
        if "cachedContent" in body or not self.services.capability_table.of(model).system:
            return in_first_turn(body, applied)
        return body | {"systemInstruction": instruction(body.get("systemInstruction"), applied)}

    async def on_request(self, body: JsonObject, context: RequestContext) -> JsonObject | None:
        """Apply the texts to an interaction. Raises BadRequest for one whose model or system prompt is not understood.

        Its `system_instruction` is a string (https://ai.google.dev/api/interactions-api).
        """
        if context.surface != "interactions":
            return None
        model = body.get("model")
        applied = self._applied(model if isinstance(model, str) else "", context)
        if not applied:
            return None
        if not isinstance(model, str):
            raise BadRequest(_NO_SYSTEM_PROMPT, status=403, code="system_prompt_not_applied")
        own = [body[name] for name in _SPELLINGS if body.get(name) is not None]
        if len(own) > 1 or not all(isinstance(text, str) for text in own):
            raise BadRequest("`system_instruction` must be one string.", param="system_instruction")
        parts = instruction({"parts": [{"text": text} for text in own]}, applied)["parts"]
        kept = {name: value for name, value in body.items() if name not in _SPELLINGS}
        return kept | {"system_instruction": "\n\n".join(part["text"] for part in parts)}

    def check_native(self, method: str, path: str, context: RequestContext) -> None:
        """Refuse methods to which the texts cannot be applied, for clients and models that they are for."""
        if method != "POST" or generates(path) or is_silent(method, path) or _INTERACTIONS.fullmatch(path):
            return
        match = _MODEL.search(path)
        if self._applied(match[1] if match else "", context):
            raise BadRequest(_NO_SYSTEM_PROMPT, status=403, code="system_prompt_not_applied")

    def _applied(self, model: str, context: RequestContext) -> list[Prompt]:
        """Return the texts for a client and a model, `""` for one that is not known.

        What a name with a slash stands for, such as `tunedModels/x`, is not known either.
        """
        client, accounting = context.client, self.services.exchange.accounting
        names = (self.services.client_name(client), client.id or client.fingerprint)
        models: Collection[str] = ()
        name = model.removeprefix("models/").lower()
        if name and "/" not in name:
            models = accounting.prices.successors.candidates(name, accounting.today())
        return [prompt for prompt in self.config.prompts if prompt.applies(names, models)]


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


def _any(patterns: tuple[str, ...], names: Collection[str]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns for name in names)
