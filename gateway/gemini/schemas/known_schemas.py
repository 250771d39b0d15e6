"""Schemas that were cleaned before: an agent declares the same tools, and asks for the same format, with every turn.

What `json_schema.sanitize` returns depends on its arguments alone, and takes fifty times as long as encoding and
decoding the schema. So the result is kept as JSON, under the schema's own JSON, and decoded anew for each caller.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.gemini.schemas import json_schema
from gateway.gemini.schemas.json_schema import Schema
from gateway.gemini.schemas.schema_references import InlineBudget
from gateway.gemini.wire import encode_json

MOST_BYTES = 2 * 1024 * 1024
"""Bytes of all schemas that are kept, and of what became of them."""
_LARGEST = 32 * 1024
"""Bytes of the largest schema that is kept, so that one does not push out many."""


class _Cleaned(Struct, frozen=True, gc=False):
    schema: bytes
    lost: tuple[str, ...]
    spent: int
    """Values that its references brought."""

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return len(self.schema) + sum(map(len, self.lost))


class KnownSchemas:
    """Cleaned schemas, as many as fit into some bytes. The oldest are forgotten first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._known: dict[bytes, _Cleaned] = {}
        self.size = 0
        """Bytes that are kept."""

    def sanitize(
        self,
        schema: Mapping[str, Any],
        param: str,
        budget: InlineBudget,
        *,
        ordered: bool = False,
        lost: list[str],
    ) -> Schema:
        """Return what `json_schema.sanitize` returns, or raise what it raises. `lost` is empty."""
        key = b"%d %b %b" % (ordered, param.encode(), encode_json(schema))
        known = self._known.get(key)
        if known is None:
            before = budget.left
            cleaned = json_schema.sanitize(schema, param, budget, ordered=ordered, lost=lost)
            if len(key) <= _LARGEST:
                self._keep(key, _Cleaned(encode_json(cleaned), tuple(lost), before - budget.left))
            return cleaned
        budget.spend(known.spent, param)
        lost += known.lost
        result: Schema = msgspec.json.decode(known.schema)
        return result

    def clear(self) -> None:
        """Forget all schemas."""
        self._known.clear()
        self.size = 0

    def _keep(self, key: bytes, cleaned: _Cleaned) -> None:
        """Keep a schema. Threads that clean the same one at the same time keep it once."""
        if cleaned.size > _LARGEST or self._known.setdefault(key, cleaned) is not cleaned:
            return
        self.size += len(key) + cleaned.size
        while self.size > self._most and self._known:
            oldest = next(iter(self._known))
            forgotten = self._known.pop(oldest, None)
            if forgotten is not None:
                self.size -= len(oldest) + forgotten.size


KNOWN = KnownSchemas()
"""Those of all requests."""
