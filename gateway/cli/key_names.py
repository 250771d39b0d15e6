"""Names and ids of issued keys on the command line: both are accepted, and a mistake gets a suggestion."""

from collections.abc import Sequence
from difflib import get_close_matches

from gateway.policy.clients.access import ClientKey


class UnknownKey(Exception):
    """No key has the name or id, or several do. The text says so and names candidates."""


def keys_named(keys: Sequence[ClientKey], text: str) -> list[ClientKey]:
    """Return the key with an id, or else all keys with a name. Raises UnknownKey if there is none."""
    matches = [key for key in keys if key.id == text] or [key for key in keys if key.name == text]
    if matches:
        return matches
    known = list(dict.fromkeys([*(key.name for key in keys), *(key.id for key in keys)]))
    lower = {name.lower(): name for name in reversed(known)}
    close = get_close_matches(text.lower(), lower, 1)
    if close:
        hint = f"did you mean {lower[close[0]]!r}?"
    elif keys:
        names = list(dict.fromkeys(key.name for key in keys))
        hint = f"there are {', '.join(names[:10])}{', …' if len(names) > 10 else ''}"
    else:
        hint = "no key has been issued: gateway keys add NAME"
    raise UnknownKey(f"no key has the name or id {text!r}; {hint}")


def key_named(keys: Sequence[ClientKey], text: str) -> ClientKey:
    """Return the key with an id, or the only unrevoked key with a name. Raises UnknownKey."""
    matches = keys_named(keys, text)
    usable = [key for key in matches if key.revoked is None]
    if len(usable) == 1 or len(matches) == 1:
        return (usable or matches)[0]
    if not usable:
        raise UnknownKey(f"all keys with the name {text!r} have been revoked")
    ids = ", ".join(key.id for key in usable)
    raise UnknownKey(f"{len(usable)} keys have the name {text!r}: name one by its id, {ids}")
