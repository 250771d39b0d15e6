"""Rules that turn a Gemini function call back into the client's own call."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

_PREFIXES = ("", "default_api.", "default_api:")


class CallRules(Struct, frozen=True):
    """Names and options that a request sets for the function calls of its answer, and for its end."""

    names: Mapping[str, str] = {}
    """Gemini's function name to the client's, where they differ."""
    declared: frozenset[str] = frozenset()
    """Every function name that Gemini was sent."""
    custom: frozenset[str] = frozenset()
    """Client names of custom tools, whose input is text instead of a JSON object."""
    legacy: bool = False
    """The request used `functions`: the answer has one `function_call` instead of `tool_calls`."""
    single: bool = False
    """The request has `parallel_tool_calls: false`: only the first call is returned."""
    aliases: Mapping[str, str] = {}
    """Other names that models give to a declared function, such as its name without the namespace."""
    origins: Mapping[str, object] = {}
    """Client names to the surface's own form of the tool, where it has one."""
    stops: tuple[str, ...] = ()
    """Stop sequences above Gemini's limit, at which the gateway cuts the text."""

    def own_name(self, name: str) -> str:
        """Return the client's name of a called function.

        Models sometimes put `default_api.` or `default_api:` before a declared name (recorded traffic), or leave out
        the namespace that is part of it (https://github.com/router-for-me/CLIProxyAPI/issues/4106).
        """
        if name not in self.declared:
            for prefix in _PREFIXES:
                bare = name.removeprefix(prefix)
                if bare in self.declared or bare in self.aliases:
                    name = self.aliases.get(bare, bare) if bare not in self.declared else bare
                    break
        return self.names.get(name, name)


NO_CALLS = CallRules()
"""Rules of a request without tools."""


def compact(args: msgspec.Raw) -> str:
    """Return the arguments without white space. Numbers keep their digits, which decoding would not guarantee."""
    if not args or bytes(args) == b"null":
        return "{}"
    return msgspec.json.format(bytes(args), indent=-1).decode()
