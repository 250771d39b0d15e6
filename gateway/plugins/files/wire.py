"""Files and uploads: OpenAI's and Anthropic's objects.

See https://platform.openai.com/docs/api-reference/files, .../uploads, and https://docs.anthropic.com/en/api/files-list.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

SHORTEST = 3600
LONGEST = 30 * 24 * 3600
"""Seconds that a file may be asked to live."""


class ExpiresAfter(Struct, gc=False):
    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=SHORTEST, le=LONGEST)]


class FileFields(Struct, gc=False):
    """The text fields of the form that creates a file."""

    purpose: Annotated[str, Meta(min_length=1, max_length=64)]
    expires_after: ExpiresAfter | None = None


class UploadFields(FileFields, kw_only=True):
    """The body that begins an upload."""

    bytes: Annotated[int, Meta(ge=1)]
    filename: Annotated[str, Meta(min_length=1, max_length=1024)]
    mime_type: Annotated[str, Meta(max_length=256)] = ""


class Completion(Struct, gc=False):
    """The body that ends an upload."""

    part_ids: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(min_length=1, max_length=10_000)]
    md5: Annotated[str, Meta(max_length=64)] | None = None


decode_file = msgspec.json.Decoder(FileFields, strict=False).decode
decode_upload = msgspec.json.Decoder(UploadFields).decode
decode_completion = msgspec.json.Decoder(Completion).decode
encode = msgspec.json.Encoder().encode
