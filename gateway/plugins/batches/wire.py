"""Batches: OpenAI's objects (https://platform.openai.com/docs/api-reference/batch)."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

Text = Annotated[str, Meta(max_length=512)]
Name = Annotated[str, Meta(max_length=64)]


class ExpiresAfter(Struct, gc=False):
    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=3600, le=30 * 24 * 3600)]


class CreateBatch(Struct, gc=False):
    input_file_id: Annotated[str, Meta(max_length=64)]
    endpoint: Annotated[str, Meta(max_length=64)]
    completion_window: str
    metadata: Annotated[dict[Name, Text], Meta(max_length=16)] | None = None
    output_expires_after: ExpiresAfter | None = None


class InputLine(Struct, gc=False):
    """One line of a batch's file; a field of another type is None, and its type is looked at then."""

    custom_id: Any = None
    method: Any = None
    url: Any = None
    body: Raw = Raw()


class LineModel(Struct, gc=False):
    """Fields of a line's body that bound its cost."""

    model: str | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    n: int | None = None


class Answered(Struct):
    """The response of a line."""

    status_code: int
    request_id: str
    body: Raw


class Unsent(Struct):
    """The error of a line that has no response."""

    code: str
    message: str


class OutputLine(Struct):
    """One line of a file with results, or with errors."""

    id: str
    custom_id: str
    response: Answered | None
    error: Unsent | None


decode_create = msgspec.json.Decoder(CreateBatch).decode
decode_line = msgspec.json.Decoder(InputLine).decode
decode_model = msgspec.json.Decoder(LineModel).decode
encode = msgspec.json.Encoder().encode
