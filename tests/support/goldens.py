"""Golden files: input, a rule, and the expected output. `GOLDEN=rewrite` writes the output anew; read the diff."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, ValidationError

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.field_policy import Policy, review
from gateway.conversation.foreign.originals import Placeholders, fitted
from gateway.conversation.translation import Translation, TranslationContext, translate
from gateway.errors import GatewayError
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.wire import encode_request
from tests.support.models import TABLE
from tests.support.paths import GOLDEN

T = TypeVar("T")

RULE = "\n-----\n"


def files(folder: str) -> list[Path]:
    """Return the golden files of a folder."""
    return sorted((GOLDEN / folder).glob("*.golden"))


def inputs(file: Path) -> list[str]:
    """Return the sections of a golden file without the last one, the expected output."""
    return file.read_bytes().decode().split(RULE)[:-1]


def check(file: Path, output: str) -> None:
    """Compare an output with the expected one, or write it when `GOLDEN=rewrite`."""
    text = RULE.join([*inputs(file), output])
    if os.environ.get("GOLDEN") == "rewrite":
        file.write_bytes(text.encode())
    else:
        assert text == file.read_bytes().decode()


def pretty(value: str | bytes) -> str:
    """Return a JSON text, indented."""
    return json.dumps(json.loads(value), indent=1, ensure_ascii=False) + "\n"


def translated(conversation: ConversationBuilder, model: str) -> Translation:
    """Return the translation of a conversation for a model."""
    return translate(conversation, TranslationContext(model, TABLE.of(model), keys=SignatureKeys("k")))


def fields_of(request: str | bytes) -> dict[str, Raw]:
    """Return the fields of a body, undecoded."""
    return msgspec.json.decode(request, type=dict[str, Raw])


def decoded(request: str | bytes, decoder: Callable[[bytes], T], placeholders: Placeholders) -> T:
    """Return a body as a route decodes it. Raises ValidationError."""
    data = request.encode() if isinstance(request, str) else request
    try:
        return decoder(data)
    except ValidationError:
        if not placeholders:
            raise
        return decoder(fitted(fields_of(data), placeholders))


def reviewed(
    conversation: ConversationBuilder, request: str | bytes, table: Mapping[str, Policy]
) -> ConversationBuilder:
    """Return the conversation with a note for each field of the request that is not honoured."""
    review(fields_of(request), table, conversation.notes)
    return conversation


def report(translation: Translation) -> str:
    """Return the notes and the Gemini body of a translation."""
    notes = f"notes: {', '.join(translation.notes)}\n" if translation.notes else ""
    return notes + pretty(encode_request(translation.request))


def report_or_error(translation: Callable[[], Translation]) -> str:
    """Return the report of a translation, or the error of one that raises, as OpenAI's clients see it."""
    try:
        return report(translation())
    except GatewayError as error:
        return f"{error.status} {error.code} {error.param}: {error.message}\n"
    except ValidationError as error:
        return f"400 {error}\n"


def sse(lines: str) -> bytes:
    """Return lines of JSON framed as Google's server-sent events."""
    return b"".join(b"data: " + line.encode() + b"\r\n\r\n" for line in lines.split("\n") if line)


def streamed(translator: StreamTranslator, stream: bytes, cuts: Sequence[int] = ()) -> bytes:
    """Return a client's stream; the upstream's arrives in pieces that end at the cuts."""
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    out = b""
    for start, end in pairwise(edges):
        if translator.error is None:
            out += translator.feed(stream[start:end])
    if translator.error is None:
        out += translator.close()
    return out if translator.error is None else out + translator.fail(translator.error)


def numbered(prefix: str) -> Callable[[], str]:
    """Return a source of ids: `prefix0`, `prefix1`, …"""
    numbers: Iterator[int] = iter(range(1000))
    return lambda: f"{prefix}{next(numbers)}"


def model_of(body: Any) -> str:
    """Return the model that a body names, or the one that golden files leave out."""
    return body.model or "gemini-2.5-flash"
