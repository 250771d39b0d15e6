"""Notes: the fields of a request that are not honoured, or only after a repair, by the client's own path."""

import re
from collections.abc import Iterable, Iterator, Sequence

from gateway.errors import UnsupportedParameter, scrub

_INDEX = re.compile(r"\[\d+\]|\.\d+(?=\.|$)")
_UNPRINTABLE = re.compile(r"[^A-Za-z0-9_.\[\]-]")
_UNPRINTABLE_PATH = re.compile(r"[^A-Za-z0-9_.\[\]?=$-]")
_UNPRINTABLE_TYPE = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST_NAME = 40
_LONGEST_PATH = 64
_LONGEST_SEARCHED = 400
MOST_NAMES = 20
MOST_BYTES = 1024
"""Names, and their bytes, that a header or a log line shows."""
_MOST_SEARCHED = 2 * MOST_NAMES
"""Paths that are made printable to find the names that are shown. A request may have 100,000 unknown fields."""
_MOST_COMPARED = 1000
"""Paths up to which equal ones are counted once."""
_ROOM_FOR_REST = len(",+1000000")


class Notes:
    """The notes of one request. In strict mode a field that would change the answer is refused instead."""

    def __init__(self, *, strict: bool = False, noted: Iterable[str] = ()) -> None:
        self.strict = strict
        self._paths = list(noted)

    def add(self, at: str) -> None:
        """Note a field."""
        self._paths.append(at)

    def add_type(self, at: str, kind: str) -> None:
        """Note an item, a block or a tool whose type cannot be used: `tools[1].type=mcp`."""
        self._paths.append(typed(at, kind))

    def drop(self, at: str, why: str) -> None:
        """Note a field that cannot be honoured. Raises UnsupportedParameter in strict mode."""
        if self.strict:
            raise UnsupportedParameter(f"Unsupported parameter: '{at}'. {why}", param=at)
        self._paths.append(at)

    def add_unknown(self, name: str) -> None:
        """Note a field by the client's own name. Names after the first are only counted, and are not made printable."""
        self._paths.append(
            printable(name) if len(self._paths) < _MOST_SEARCHED else name[:_LONGEST_NAME] or "?"
        )

    def forget(self, at: str) -> None:
        """Forget the last notes of what is at a path or in it."""
        while self._paths and is_below(self._paths[-1], at):
            self._paths.pop()

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def distinct(self) -> list[str]:
        """Return the paths in order, the first of those that differ only in their indexes."""
        return distinct(self._paths)


def typed(at: str, kind: str) -> str:
    """Return the path of an item, a block or a tool with its type: `tools[1].type=mcp`."""
    return f"{at}.type={_UNPRINTABLE_TYPE.sub('?', _without_keys(kind)[:_LONGEST_NAME])}"


def distinct(paths: Sequence[str]) -> list[str]:
    """Return the paths in order, the first of those that differ only in their indexes."""
    if not paths:
        return []
    kinds: dict[str, str] = {}
    for path in paths:
        kinds.setdefault(kind(path), path)
    return list(kinds.values())


def brief(paths: Sequence[str]) -> list[str]:
    """Return the paths as a header and a log line show them.

    They are printable, at most 64 characters each, 20 in number and 1 KB together. `+N` stands for the others, which
    are not looked at.
    """
    distinct_paths = list(dict.fromkeys(paths)) if len(paths) <= _MOST_COMPARED else paths
    names: dict[str, None] = {}
    size = _ROOM_FOR_REST
    for i, path in enumerate(distinct_paths):
        if i == _MOST_SEARCHED:
            return [*names, f"+{len(distinct_paths) - i}"]
        name = _UNPRINTABLE_PATH.sub("?", _without_keys(path)[:_LONGEST_PATH])
        if name in names:
            continue
        size += len(name) + 1
        if len(names) == MOST_NAMES or size > MOST_BYTES:
            return [*names, f"+{len(distinct_paths) - i}"]
        names[name] = None
    return list(names)


def kind(path: str) -> str:
    """Return a path without its indexes: `messages[3].tool_calls[0]` and `messages.3` name kinds of fields."""
    return _INDEX.sub("", path)


def is_below(path: str, at: str) -> bool:
    """Return whether a path is another, or names something in it."""
    return path.startswith(at) and path[len(at) : len(at) + 1] in ("", ".", "[")


def printable(name: str) -> str:
    """Return a client's own word as it may stand in a header."""
    return _UNPRINTABLE.sub("?", _without_keys(name)[:_LONGEST_NAME]) or "?"


def _without_keys(name: str) -> str:
    """Return the beginning of a name without what looks like a key. Afterwards, its form would be spoilt."""
    return scrub(name[:_LONGEST_SEARCHED])
