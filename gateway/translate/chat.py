"""Chat completions, the request: OpenAI's body to Gemini's (translation.md A, B)."""

from collections.abc import Mapping

from msgspec import Struct

from gateway.errors import BadRequest
from gateway.translate import compat, family, parts
from gateway.translate.compat import Compat
from gateway.wire import openai_chat as openai
from gateway.wire.gemini import Content, GenerateContentRequest, GenerationConfig, Part, SafetySetting

Safety = Mapping[str, str]
"""Harm category to threshold, as configured."""

_INT32 = 2**31
_MOST_STOPS = 5
_PENALTY_CEILING = 1.99  # Gemini's range excludes 2 (translation.md A.1)
_CONTINUE = "Continue."
_SYSTEM_ROLES = ("system", "developer")


class Translated(Struct, frozen=True):
    """A Gemini request, and the names of the fields it does not honour."""

    request: GenerateContentRequest
    notes: list[str]


def to_gemini(body: openai.ChatRequest, model: str, safety: Safety, mode: Compat) -> Translated:
    """The Gemini request that means the same. Raises BadRequest naming the field that cannot be."""
    notes: list[str] = []
    system, contents = _conversation(body.messages)
    if system and not family.takes_system_instruction(model):
        contents = [Content([*system, Part(text="\n\n")], "user"), *contents]
        system = []
    contents = _merge(contents or [_user("")])
    if contents[0].role == "model":
        contents.insert(0, _user(""))
    if contents[-1].role == "model" and not family.takes_trailing_model_turn(model):
        contents.append(_user(_CONTINUE))
    request = GenerateContentRequest(
        contents,
        Content(system) if system else None,
        _safety(body, safety),
        _generation_config(body, model, notes, mode),
    )
    return Translated(request, notes)


def _conversation(messages: list[openai.Message]) -> tuple[list[Part], list[Content]]:
    """System parts and turns; an instruction after the first answer keeps its place (translation.md B.1)."""
    system: list[Part] = []
    contents: list[Content] = []
    answered = False
    for i, message in enumerate(messages):
        at = f"messages[{i}]"
        if message.role == "user":
            contents.append(Content(_user_parts(message, at), "user"))
        elif message.role == "assistant":
            answered = True
            contents.append(Content(_assistant_parts(message, at), "model"))
        elif message.role not in _SYSTEM_ROLES:
            raise BadRequest(_unknown_role(message.role), param=f"{at}.role")
        elif answered:
            contents.append(Content(_text_parts(message, at), "user"))
        else:
            system += _text_parts(message, at)
    return system, [content for content in contents if content.parts]


def _unknown_role(role: str) -> str:
    if role in ("tool", "function"):
        return "tool calling is not translated by this version: messages of tools cannot be sent"
    return f"unknown role {role[:40]!r}; known: system, developer, user, assistant"


def _user_parts(message: openai.Message, at: str) -> list[Part]:
    content = message.content
    if content is None:
        raise BadRequest("a user message needs content", param=f"{at}.content")
    if isinstance(content, str):
        return [Part(text=content)]
    converted = [parts.user_part(part, f"{at}.content[{j}]") for j, part in enumerate(content)]
    if converted and not any(part.text is not None for part in converted):
        converted.append(Part(text=""))  # some models want a text beside a picture (B.3)
    return converted


def _text_parts(message: openai.Message, at: str) -> list[Part]:
    """Of a system message: text only, and nothing of an empty one."""
    content = message.content
    if content is None or isinstance(content, str):
        return [Part(text=content)] if content else []
    found = []
    for j, part in enumerate(content):
        text = parts.text_of(part, f"{at}.content[{j}]")
        if text is None:
            raise BadRequest("a system message holds text only", param=f"{at}.content[{j}].type")
        found.append(Part(text=text))
    return [part for part in found if part.text]


def _assistant_parts(message: openai.Message, at: str) -> list[Part]:
    content = message.content
    if content is None:
        return [Part(text=message.refusal)] if message.refusal else []
    if isinstance(content, str):
        return [Part(text=content)]
    found = []
    for j, part in enumerate(content):
        text = parts.text_of(part, f"{at}.content[{j}]")
        if text is None and part.type != "thinking":  # others' thoughts are not sent back (B.3)
            raise BadRequest(
                f"unknown content part type {part.type[:40]!r} in an assistant message",
                param=f"{at}.content[{j}].type",
            )
        if text is not None:
            found.append(Part(text=text))
    return found


def _merge(contents: list[Content]) -> list[Content]:
    """Neighbours of one role become one turn (translation.md B.2.1)."""
    merged: list[Content] = []
    for content in contents:
        if merged and merged[-1].role == content.role:
            merged[-1] = Content([*(merged[-1].parts or ()), *(content.parts or ())], content.role)
        else:
            merged.append(content)
    return merged


def _user(text: str) -> Content:
    return Content([Part(text=text)], "user")


def _safety(body: openai.ChatRequest, configured: Safety) -> list[SafetySetting] | None:
    """The configured thresholds, each overridden by the client's own."""
    wanted = dict(configured)
    wanted.update((s.category, s.threshold) for s in body.safety_settings or ())
    return [SafetySetting(category, threshold) for category, threshold in wanted.items()] or None


def _generation_config(
    body: openai.ChatRequest, model: str, notes: list[str], mode: Compat
) -> GenerationConfig | None:
    config = GenerationConfig(
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        candidate_count=body.n if body.n and body.n > 1 else None,
        max_output_tokens=body.max_completion_tokens or body.max_tokens,
        stop_sequences=_stop_sequences(body.stop),
        seed=_seed(body.seed),
    )
    for name in ("presence_penalty", "frequency_penalty"):
        value = getattr(body, name)
        if value and family.takes_penalties(model):
            setattr(config, name, min(value, _PENALTY_CEILING))
        elif value:
            compat.drop(name, f"{model} takes no penalties", notes, mode)
    return config if config != _NO_CONFIG else None


_NO_CONFIG = GenerationConfig()


def _stop_sequences(stop: str | list[str] | None) -> list[str] | None:
    """Gemini takes five; empty ones mean nothing (translation.md A.1)."""
    wanted = [text for text in ([stop] if isinstance(stop, str) else stop or []) if text]
    if len(wanted) > _MOST_STOPS:
        raise BadRequest(f"at most {_MOST_STOPS} stop sequences, got {len(wanted)}", param="stop")
    return wanted or None


def _seed(seed: int | None) -> int | None:
    """Gemini's seed is an int32: larger ones are folded, always the same way."""
    return seed if seed is None or -_INT32 <= seed < _INT32 else seed % _INT32
