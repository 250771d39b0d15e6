"""Chat completions, the request: walk OpenAI's messages and tell the conversation builder what they say."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from gateway.conversation import parts
from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.foreign import turns as foreign
from gateway.conversation.foreign.originals import NO_FIELDS
from gateway.conversation.foreign.turns import ForeignTurns
from gateway.conversation.generation import OutputFormat, Sampling
from gateway.conversation.google_options import google_options
from gateway.conversation.invalid import UnknownShape, mismatch, missing, unsupported_value
from gateway.conversation.modalities import ModalityRequest
from gateway.conversation.parts import AnyPart
from gateway.errors import BadRequest
from gateway.gemini.server_runs import given_run
from gateway.gemini.wire import Part
from gateway.gemini.wire import SafetySetting as GeminiSafetySetting
from gateway.plugins.chat.signatures import CallSignatures, of_text
from gateway.plugins.chat.tools import declare
from gateway.plugins.chat.wire import (
    CallIn,
    ChatRequest,
    ContentPart,
    FileInput,
    ImageURL,
    Message,
    ResponseFormat,
)

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_PART_TYPES = ("text", "image_url", "input_audio", "file", "video_url", "audio_url")
_TEXTS = ("text", "input_text", "output_text")
_THOUGHTS = ("thinking", "redacted_thinking", "reasoning")
"""Parts of an earlier answer that are not sent back: Gemini takes no thoughts in a history."""


def conversation(
    body: ChatRequest, fields: Mapping[str, Raw] = NO_FIELDS, *, strict: bool
) -> ConversationBuilder:
    """Return what a chat request says; `fields` are the body's, for what has another dialect's shape.

    Raises BadRequest with the path of what cannot be understood.
    """
    builder = ConversationBuilder("messages", strict=strict)
    foreign.instructions(builder, fields, DIALECT)
    if body.messages is None:
        foreign.turns_elsewhere(builder, fields, ("input", "contents"), DIALECT)
    _messages(builder, body.messages or (), fields)
    if body.tools or body.functions or body.tool_choice or body.function_call or body.web_search_options:
        declare(builder, body, fields)
    _sample(builder, body, fields)
    if body.reasoning_effort or body.reasoning or body.thinking:
        _think(builder, body)
    if body.response_format is not None:
        _format(builder, body.response_format)
    if body.modalities or body.audio:
        _modalities(builder, body)
    if body.safety_settings:
        builder.safety += [GeminiSafetySetting(s.category, s.threshold) for s in body.safety_settings]
    builder.service_tier = body.service_tier
    if body.google or body.extra_body or body.cached_content or body.thinking_config:
        builder.options(
            google_options(
                body.google,
                body.extra_body.google if body.extra_body is not None else None,
                cached_content=body.cached_content,
                thinking_config=body.thinking_config,
            )
        )
    return builder


_LIMIT: Mapping[str, str] = {"max_output_tokens": "max_completion_tokens"}
_OLD_LIMIT: Mapping[str, str] = {"max_output_tokens": "max_tokens"}


def _sample(builder: ConversationBuilder, body: ChatRequest, fields: Mapping[str, Raw]) -> None:
    limit = body.max_completion_tokens or body.max_tokens or foreign.token_limit(builder, fields)
    builder.sample(
        Sampling(
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k,
            max_output_tokens=limit,
            stop_sequences=[body.stop] if isinstance(body.stop, str) else body.stop or (),
            seed=body.seed,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            response_logprobs=bool(body.logprobs),
            logprobs=body.top_logprobs,
        ),
        _LIMIT if body.max_completion_tokens else _OLD_LIMIT,
    )
    if body.top_logprobs is not None and not body.logprobs:
        raise BadRequest("'top_logprobs' requires 'logprobs' to be true.", param="top_logprobs")


def _messages(builder: ConversationBuilder, messages: Sequence[Message], fields: Mapping[str, Raw]) -> None:
    others = ForeignTurns(builder, fields.get("messages"), DIALECT)
    for i, message in enumerate(messages):
        at = f"messages[{i}]"
        try:
            _message(builder, message, at)
        except UnknownShape as error:
            others.instead(i, at, error)


def _message(builder: ConversationBuilder, message: Message, at: str) -> None:
    if message.name and message.role not in ("tool", "function"):
        builder.notes.add(f"{at}.name")  # Gemini's turns have no names of participants
    match message.role:
        case "user":
            _user(builder, message, at)
        case "assistant":
            _assistant(builder, message, at)
        case "system" | "developer":
            builder.system(_texts_only(message, at), at)
        case "tool" | "function":
            builder.result(message.tool_call_id, _result_parts(message, at), at, name=message.name or "")
        case other:
            raise unsupported_value(other, _ROLES, f"{at}.role")


def _user(builder: ConversationBuilder, message: Message, at: str) -> None:
    content = message.content
    if content is None:
        raise missing(f"{at}.content")
    if isinstance(content, str):
        builder.turn("user", content, at)
    else:
        builder.turn("user", _parts(content, at), at)


def _result_parts(message: Message, at: str) -> str | list[AnyPart]:
    content = message.content
    return content or "" if content is None or isinstance(content, str) else _parts(content, at)


def _parts(content: Sequence[ContentPart], at: str) -> list[AnyPart]:
    return [_part(part, f"{at}.content[{i}]") for i, part in enumerate(content)]


def _part(part: ContentPart, at: str) -> AnyPart:
    """Return one part of a user's message or of a result."""
    text = _text(part, at)
    if text is not None:
        return Part(text=text)
    match part.type:
        case "image_url":
            result = _by_url(part.image_url, f"{at}.image_url", part.mime_type)
        case "video_url":
            result = _by_url(part.video_url, f"{at}.video_url", part.mime_type)
        case "audio_url":
            result = _by_url(part.audio_url, f"{at}.audio_url", part.mime_type)
        case "input_audio":
            result = _audio(part, at)
        case "file":
            result = _file(part.file, f"{at}.file")
        case other:
            raise unsupported_value(other, _PART_TYPES, f"{at}.type")
    return parts.with_hints(result, part.image_url, part.video_url, part.audio_url, part.file, part)


def _text(part: ContentPart, at: str) -> str | None:
    """Return the text of a textual part, or None for another kind."""
    if part.type in _TEXTS:
        if part.text is None:
            raise missing(f"{at}.text")
        return part.text
    return part.refusal or "" if part.type == "refusal" else None


def _by_url(value: ImageURL | str | None, at: str, mime_type: str | None) -> AnyPart:
    if value is None:
        raise missing(at)
    if isinstance(value, str):
        return parts.at_url(value, at, mime_type)
    return parts.at_url(value.url, f"{at}.url", value.format or value.mime_type or mime_type)


def _audio(part: ContentPart, at: str) -> AnyPart:
    audio = part.input_audio
    if audio is None:
        raise missing(f"{at}.input_audio")
    return parts.audio(audio.data, audio.format, f"{at}.input_audio.data", f"{at}.input_audio.format")


def _file(file: FileInput | None, at: str) -> AnyPart:
    """Return a file that is in the request, or one that was uploaded before."""
    if file is None:
        raise missing(at)
    mime_type = file.format or file.mime_type
    if file.file_data:
        return parts.file_data(file.file_data, f"{at}.file_data", mime_type, file.filename)
    if not file.file_id:
        raise UnknownShape(
            f"Missing required parameter: '{at}.file_data' or '{at}.file_id'.",
            param=at,
            code="missing_required_parameter",
        )
    return parts.file_id(file.file_id, f"{at}.file_id", mime_type)


def _texts_only(message: Message, at: str) -> list[Part]:
    """Return the texts of an instruction, which may hold nothing else."""
    content = message.content
    if content is None:
        raise missing(
            f"{at}.content"
        )  # `foreign` reads an instruction without words, and items of the same role
    if isinstance(content, str):
        return [Part(text=content)]
    texts = []
    for i, part in enumerate(content):
        text = _text(part, f"{at}.content[{i}]")
        if text is None:
            raise UnknownShape(
                f"Invalid value: '{part.type[:40]}'. A {message.role} message takes text only.",
                param=f"{at}.content[{i}].type",
            )
        texts.append(Part(text=text))
    return texts


def _native_part(value: Mapping[str, Any], at: str) -> list[AnyPart]:
    """Return a part of chat's own inside a foreign message. Raises UnknownShape."""
    try:
        return [_part(msgspec.convert(value, ContentPart), at)]
    except msgspec.ValidationError as error:
        raise mismatch(error, at) from None


def _native_calls(builder: ConversationBuilder, value: Mapping[str, Any], at: str) -> bool:
    """Tell the calls of a foreign message, where they are in chat's own shape."""
    fields = {name: value[name] for name in _CALL_FIELDS if name in value}
    try:
        message = msgspec.convert({"role": "assistant", **fields}, Message)
    except msgspec.ValidationError:
        return False
    _calls(builder, message, at)
    return True


_CALL_FIELDS = (
    "tool_calls", "function_call", "extra_content", "provider_specific_fields", "reasoning_details"
)  # fmt: skip
DIALECT = foreign.Dialect(Message, _native_part, (*_PART_TYPES, *_TEXTS, "refusal"), _native_calls)
"""Chat's own shapes, as the readers of other dialects need them."""


def _assistant(builder: ConversationBuilder, message: Message, at: str) -> None:
    """Tell text and images of an earlier answer, then its calls."""
    said: list[AnyPart] = list(_answer_texts(message, at))
    signature = of_text(message)
    if signature and not said and message.content == "" and not message.tool_calls:
        said = [Part(text="")]
    if signature and said and isinstance(last := said[-1], Part):
        said[-1] = Part(text=last.text, thought_signature=signature)
    for i, image in enumerate(message.images or ()):
        if image.image_url is not None:
            part = parts.earlier_image(image.image_url.url, f"{at}.images[{i}].image_url.url")
            said += [part] if part is not None else []
    builder.turn("model", said, at)
    extra = message.extra_content
    if extra is not None and extra.google is not None and extra.google.server_parts:
        _server_parts(builder, extra.google.server_parts, f"{at}.extra_content.google.server_parts")
    _calls(builder, message, at)


def _server_parts(builder: ConversationBuilder, value: Raw, at: str) -> None:
    """Tell the parts that Google's own tools made in an earlier answer."""
    run, is_whole = given_run(value)
    if not is_whole:
        builder.notes.add(at)
    if run:
        builder.server_run(run, at)


def _calls(builder: ConversationBuilder, message: Message, at: str) -> None:
    """Tell the calls of an earlier answer."""
    if message.tool_calls:
        signed = CallSignatures(message)
        for i, call in enumerate(message.tool_calls):
            _call(builder, call, signed, i, f"{at}.tool_calls[{i}]")
    elif message.function_call is not None:
        _call(builder, CallIn(function=message.function_call), CallSignatures(message), 0, at)


def _answer_texts(message: Message, at: str) -> list[Part]:
    content = message.content
    if content is None or (content == "" and message.tool_calls):
        return [Part(text=message.refusal)] if message.refusal else []
    if isinstance(content, str):
        return [Part(text=content)]
    texts = []
    for i, part in enumerate(content):
        text = _text(part, f"{at}.content[{i}]")
        if text is None and part.type not in _THOUGHTS:
            raise UnknownShape(
                f"Invalid value: '{part.type[:40]}'. An assistant message takes text only.",
                param=f"{at}.content[{i}].type",
            )
        if text is not None:
            texts.append(Part(text=text))
    return texts


def _call(builder: ConversationBuilder, call: CallIn, signed: CallSignatures, position: int, at: str) -> None:
    legacy = not signed.message.tool_calls
    inside = (
        f"{at}.function_call" if legacy else f"{at}.custom" if call.custom is not None else f"{at}.function"
    )
    name, arguments = "", ""
    if call.custom is not None:
        name = call.custom.name
        arguments = msgspec.json.encode(
            {"input": call.custom.input}
        ).decode()  # as the function it is upstream
    elif call.function is not None:
        name, arguments = call.function.name, _arguments_text(call.function.arguments)
    if call.custom is None and call.function is None:
        raise missing(inside)
    if not name:
        raise missing(f"{inside}.name")
    builder.call(
        call.id,
        name,
        arguments,
        signed.of_call(call, position),
        f"{at}.function_call" if legacy else at,
        f"{inside}.arguments",
    )


def _arguments_text(arguments: object) -> str:
    """Return arguments as a JSON text, also from clients that send the object itself."""
    if isinstance(arguments, str):
        return arguments
    return msgspec.json.encode(arguments or {}).decode()


def _think(builder: ConversationBuilder, body: ChatRequest) -> None:
    """Take OpenAI's effort, else OpenRouter's `reasoning`, else Anthropic's `thinking`."""
    if body.reasoning_effort is not None:
        builder.think("reasoning_effort", effort=body.reasoning_effort)
    elif body.reasoning is not None:
        wanted = body.reasoning
        effort, show = wanted.effort, False if wanted.exclude else None
        at = "reasoning.effort" if wanted.effort is not None else "reasoning"
        if wanted.enabled is False:
            effort = "none"
        elif wanted.enabled and effort is None and wanted.max_tokens is None:
            show = not wanted.exclude
        builder.think(at, effort=effort, budget=wanted.max_tokens, show=show)
    elif body.thinking is not None and body.thinking.type == "disabled":
        builder.think("thinking", effort="none")
    elif body.thinking is not None and body.thinking.type in ("enabled", "adaptive"):
        builder.think("thinking", budget=body.thinking.budget_tokens, show=True)


def _format(builder: ConversationBuilder, wanted: ResponseFormat) -> None:
    match wanted.type:
        case "text":
            return
        case "json_object":
            builder.format(OutputFormat("response_format"))
        case "json_schema":
            described = wanted.json_schema
            if described is None:
                raise missing("response_format.json_schema")
            builder.format(
                OutputFormat(
                    "response_format",
                    described.schema,
                    described.description,
                    "response_format.json_schema.schema",
                )
            )
        case other:
            raise unsupported_value(other, ("text", "json_object", "json_schema"), "response_format.type")


def _modalities(builder: ConversationBuilder, body: ChatRequest) -> None:
    audio = body.audio
    builder.modalities = ModalityRequest(
        body.modalities or (),
        audio is not None,
        audio.voice if audio is not None else None,
        audio.format if audio is not None else None,
    )
