"""Legacy completions, the request: each prompt is a conversation of one turn."""

from collections.abc import Mapping

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.generation import Sampling
from gateway.conversation.invalid import empty_array
from gateway.errors import BadRequest
from gateway.plugins.completions.wire import CompletionRequest

_NAMES: Mapping[str, str] = {"max_output_tokens": "max_tokens"}
_SUFFIX = (
    "Continue the text so that it leads to the following ending; write only what stands between:\n{suffix}"
)


def prompts(body: CompletionRequest) -> list[str]:
    """Return the prompts; without any, the empty one. Raises BadRequest for an empty list and for token ids."""
    if not isinstance(body.prompt, list):
        return [body.prompt or ""]
    if not body.prompt:
        raise empty_array("prompt")
    texts = [text for text in body.prompt if isinstance(text, str)]
    if len(texts) < len(body.prompt):
        raise BadRequest(
            "Invalid type for 'prompt': token ids are not supported, send text.",
            param="prompt",
            code="invalid_type",
        )
    return texts


def instruction(body: CompletionRequest) -> str:
    """Return the instruction that all prompts of a request share: it asks for the suffix; "" without one."""
    return _SUFFIX.format(suffix=body.suffix) if body.suffix else ""


def conversation(
    body: CompletionRequest, prompt: str, at: str, shared: str | None = None, *, strict: bool
) -> ConversationBuilder:
    """Return what a request says of one of its prompts; `at` is `prompt` or `prompt[i]`.

    `shared` is the request's `instruction`, so that several prompts need one copy of it.

    It thinks as little as the model can, because thoughts count against `max_tokens` and a completion has no place
    for them.
    """
    builder = ConversationBuilder(at, strict=strict)
    if shared is None:
        shared = instruction(body)
    if shared:
        builder.system(shared, "suffix")
    builder.turn("user", prompt, at)
    builder.sample(
        Sampling(
            temperature=body.temperature,
            top_p=body.top_p,
            max_output_tokens=body.max_tokens or None,
            stop_sequences=[body.stop] if isinstance(body.stop, str) else body.stop or (),
            seed=body.seed,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
        ),
        _NAMES,
    )
    if body.best_of is not None and body.best_of > (body.n or 1):
        builder.notes.add("best_of")  # no answer is made that is not returned
    builder.think(None, effort="none")
    return builder
