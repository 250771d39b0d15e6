"""References to stored items (`item_reference`): first they are collected, then read with the items that are found."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.conversation.invalid import too_long
from gateway.errors import BadRequest, scrub
from gateway.plugins.responses.wire import STAND_IN, Item, is_reference

MOST_REFERENCES = 10_000
"""References of one request, as many as a conversation may have turns."""
_LONGEST_ID = 80


class ItemsReferenced(BadRequest):
    """The error for items that are not there; `references` says how often a request refers to each."""

    def __init__(self, name: str, param: str) -> None:
        super().__init__(
            f"Item with id '{scrub(name[:_LONGEST_ID])}' not found. Items are not persisted when `store` is set to "
            "false, and no longer than the gateway's `state.responses` says. Remove this item from your input, or "
            "send the item itself.",
            param=param,
        )
        self.references: dict[str, int] = {}

    def checked(self) -> dict[str, int]:
        """Return the references. Raises BadRequest for too many."""
        length = sum(self.references.values())
        if length > MOST_REFERENCES:
            raise too_long("input", MOST_REFERENCES, length)
        return self.references


class References:
    """The items that a request refers to, by id, as they are stored; None before they are looked up."""

    def __init__(self, items: Mapping[str, Any] | None) -> None:
        self._items = items
        self._missing: ItemsReferenced | None = None

    def item(self, name: str, at: str) -> Item | None:
        """Return an item, or None before it is looked up. Raises ItemsReferenced for an unknown one.

        The stand-in for unknown shapes is returned for an item that does not fit the type.
        """
        if self._items is not None and name in self._items:
            try:
                item = msgspec.convert(self._items[name], Item)
            except msgspec.ValidationError:
                return STAND_IN
            if item.type != "item_reference":
                return item
        missing = self._missing or ItemsReferenced(name, at)
        if self._items is not None:
            raise missing
        missing.references[name] = missing.references.get(name, 0) + 1
        self._missing = missing
        return None

    def value(self, item: Item) -> Any:
        """Return the stored item that a reference stands for, or None."""
        if self._items is None or item.id is None or not is_reference(item.type, item.role, item.content):
            return None
        return self._items.get(item.id)

    def check(self) -> None:
        """Raise ItemsReferenced if there are items to look up."""
        if self._missing is not None:
            raise self._missing
