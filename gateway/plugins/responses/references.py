"""References to stored items (`item_reference`): first they are collected, then read with the items that are found."""

from collections.abc import Mapping

from gateway.errors import BadRequest, scrub
from gateway.plugins.responses.wire import Item

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


class References:
    """The items that a request refers to, by id; None before they are looked up."""

    def __init__(self, items: Mapping[str, Item] | None) -> None:
        self._items = items
        self._missing: ItemsReferenced | None = None

    def item(self, name: str, at: str) -> Item | None:
        """Return an item, or None before it is looked up. Raises ItemsReferenced for an unknown one."""
        item = self._items.get(name) if self._items is not None else None
        if item is not None and item.type != "item_reference":
            return item
        missing = self._missing or ItemsReferenced(name, at)
        if self._items is not None:
            raise missing
        missing.references[name] = missing.references.get(name, 0) + 1
        self._missing = missing
        return None

    def check(self) -> None:
        """Raise ItemsReferenced if there are items to look up."""
        if self._missing is not None:
            raise self._missing
