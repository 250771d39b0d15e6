"""Streams as clients read them."""

import json
from typing import Any


def frames(stream: str | bytes) -> list[Any]:
    """Return the JSON of each `data:` line of a stream; `[DONE]` is left out."""
    text = stream if isinstance(stream, str) else stream.decode()
    data = (line[6:] for line in text.split("\n") if line.startswith("data: "))
    return [json.loads(line) for line in data if line != "[DONE]"]
