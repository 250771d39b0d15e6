"""Parts of Gemini's messages that the pass-through reads."""

import msgspec
from msgspec import Struct


class Named(Struct, frozen=True):
    """A resource."""

    name: str = ""


class CachedTokens(Struct, frozen=True, rename="camel"):
    """`usageMetadata` of a cached content (https://ai.google.dev/api/caching#UsageMetadata)."""

    total_token_count: int = 0


class Created(Named, frozen=True, rename="camel"):
    """Answer to a creation: a cached content, or a file in `file` (https://ai.google.dev/api/files)."""

    file: Named = Named()
    usage_metadata: CachedTokens = CachedTokens()


decode_created = msgspec.json.Decoder(Created).decode
