"""A mapping with a bound, for keys that clients choose, such as model names."""

from collections import OrderedDict
from collections.abc import Callable, ItemsView, Iterator, MutableMapping, ValuesView
from typing import TypeVar, overload

K = TypeVar("K")
T = TypeVar("T")
V = TypeVar("V")


def _each_counts_one(_key: object, _value: object) -> int:
    return 1


def _none_is_kept(_value: object) -> bool:
    return False


class BoundedMapping(MutableMapping[K, V]):
    """A mapping that removes its least recently used entries when the sum of their sizes exceeds `bound`.

    Reading an entry by `[]`, `get` or `setdefault` counts as use; iteration does not, and yields the least recently
    used key first. `size` gives an entry's share of the bound, 1 unless set; the size of an entry must not change.
    Entries for which `keep` is true are removed only when there are no others.
    """

    def __init__(
        self,
        bound: int,
        size: Callable[[K, V], int] = _each_counts_one,
        keep: Callable[[V], bool] = _none_is_kept,
    ) -> None:
        self._bound, self._size, self._keep = bound, size, keep
        self._entries: OrderedDict[K, V] = OrderedDict()
        self.total = 0
        """The sum of the sizes."""

    def __getitem__(self, key: K) -> V:
        value = self._entries[key]
        self._entries.move_to_end(key)
        return value

    @overload
    def get(self, key: K, default: None = None, /) -> V | None: ...
    @overload
    def get(self, key: K, default: V | T, /) -> V | T: ...
    def get(self, key: K, default: object = None, /) -> object:
        """Return the value of a key, or the default. The inherited method is slower: it catches KeyError."""
        entries = self._entries
        value = entries.get(key)
        if value is None and key not in entries:
            return default
        entries.move_to_end(key)
        return value

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __setitem__(self, key: K, value: V) -> None:
        if key in self._entries:
            del self[key]
        size = self._size(key, value)
        while self._entries and self.total + size > self._bound:
            del self[self._victim()]
        self._entries[key] = value
        self.total += size

    def __delitem__(self, key: K) -> None:
        self.total -= self._size(key, self._entries.pop(key))

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> ItemsView[K, V]:
        return self._entries.items()

    def values(self) -> ValuesView[V]:
        return self._entries.values()

    def _victim(self) -> K:
        removable = (key for key, value in self._entries.items() if not self._keep(value))
        return next(removable, next(iter(self._entries)))
