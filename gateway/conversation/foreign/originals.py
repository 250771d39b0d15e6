"""The client's own JSON, for what a surface's typed structs have no place for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from gateway.errors import BadRequest

T = TypeVar("T")

NO_FIELDS: Mapping[str, Raw] = {}
_decode_list = msgspec.json.Decoder(list[Raw]).decode


class Originals:
    """The elements of a list as plain JSON. Each is decoded when it is asked for."""

    def __init__(self, elements: Raw | Sequence[Any] | None) -> None:
        self._source = elements
        self._elements: Sequence[Any] | None = None
        self._last: tuple[int, Any] = (-1, None)
        """The element that was decoded last: blocks of one message are asked for one after another."""

    def __len__(self) -> int:
        return len(self._all())

    def __getitem__(self, i: int) -> Any:
        """Return an element, or None beyond the end."""
        if self._last[0] != i:
            elements = self._all()
            element = elements[i] if i < len(elements) else None
            self._last = i, value_of(element) if isinstance(element, Raw) else element
        return self._last[1]

    def _all(self) -> Sequence[Any]:
        if self._elements is None:
            source = self._source
            try:
                self._elements = _decode_list(source) if isinstance(source, Raw) else source or ()
            except msgspec.DecodeError:  # another kind of value
                self._elements = ()
        return self._elements


class Placeholder(Struct, frozen=True):
    """The stand-in for values that do not fit a field's type."""

    decode: Callable[[bytes], object]
    """Decodes one element, or the whole field. Raises msgspec.ValidationError."""
    stand_in: Raw
    """A value that fits, and that the surface then finds to be of an unknown shape."""
    whole: bool = False
    """The field is one value, not a list."""


def placeholder(kind: Any, stand_in: bytes, *, whole: bool = False) -> Placeholder:
    """Return the placeholder for elements of a type, or for a `whole` field of it."""
    return Placeholder(msgspec.json.Decoder(kind).decode, Raw(stand_in), whole)


Placeholders = Mapping[str, Placeholder]
"""By field of the body."""
NO_PLACEHOLDERS: Placeholders = {}


def fitted(fields: Mapping[str, Raw], placeholders: Placeholders) -> bytes:
    """Return a body in which a placeholder stands for each value that does not fit its type."""
    body: dict[str, Any] = dict(fields)
    for name, place in placeholders.items():
        raw = fields.get(name)
        if raw is None:
            continue
        if place.whole:
            body[name] = _fitting(raw, place)
        else:
            body[name] = _fitting_list(raw, place)
    return msgspec.json.encode(body)


def _fitting_list(raw: Raw, place: Placeholder) -> Raw | list[Raw]:
    try:
        elements = _decode_list(raw)
    except msgspec.ValidationError:  # no list: the body's own type tells what is wrong
        return raw
    return [_fitting(element, place) for element in elements]


def _fitting(raw: Raw, place: Placeholder) -> Raw:
    try:
        place.decode(raw)
    except msgspec.ValidationError:
        return place.stand_in
    return raw


def converted(values: Sequence[Any], kind: type[T], stand_in: T) -> list[T]:
    """Return plain JSON values as a type, and the stand-in for each that does not fit it."""
    elements = []
    for value in values:
        try:
            elements.append(msgspec.convert(value, kind))
        except msgspec.ValidationError:
            elements.append(stand_in)
    return elements


def value_of(raw: Raw | None, at: str = "") -> Any:
    """Return the value of a JSON text, or None where there is none. Raises BadRequest for a number beyond all ranges.

    The text is known to be JSON: only its numbers have not been read yet.
    """
    try:
        return msgspec.json.decode(raw) if raw is not None else None
    except msgspec.DecodeError as error:
        field = f"Invalid value for '{at}'" if at else "The body has a value that cannot be read"
        raise BadRequest(f"{field}: {error}.", param=at or None, code="invalid_value") from None
