"""Objects that requests create, in memory: files, caches, batches, operations, tokens and interactions.

Each key stands for a project of its own: what one key has created, another does not see. Beyond 1000 objects the oldest
is dropped.
"""

from typing import Any

Fields = dict[str, Any]
_MOST_OBJECTS = 1000


class Objects:
    """JSON objects by name, each with its owner's key."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[str, Fields]] = {}

    def add(self, owner: str, name: str, fields: Fields) -> None:
        """Store an object; its fields may be changed in place later."""
        while len(self._objects) >= _MOST_OBJECTS:
            del self._objects[next(iter(self._objects))]
        self._objects[name] = owner, fields

    def get(self, owner: str, name: str) -> Fields | None:
        """Return an object of this owner, or None."""
        key, fields = self._objects.get(name, ("", {}))
        return fields if name in self._objects and key == owner else None

    def owner(self, name: str) -> str | None:
        """Return the key that has created an object, or None for an unknown name."""
        return self._objects[name][0] if name in self._objects else None

    def of(self, owner: str, prefix: str) -> list[Fields]:
        """Return this owner's objects whose names begin with the prefix, the oldest first."""
        return [
            fields
            for name, (key, fields) in self._objects.items()
            if key == owner and name.startswith(prefix)
        ]

    def remove(self, name: str) -> None:
        """Forget an object."""
        self._objects.pop(name, None)
