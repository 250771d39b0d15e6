"""Rules that turn a Gemini function call back into the client's own call."""

from collections.abc import Mapping

from msgspec import Struct


class CallRules(Struct, frozen=True):
    """Names and options that a request sets for the function calls of its answer."""

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

    def own_name(self, name: str) -> str:
        """Return the client's name of a called function.

        Models sometimes put `default_api.` or `default_api:` before a declared name (recorded traffic).
        """
        if name not in self.declared:
            for prefix in ("default_api.", "default_api:"):
                if name.startswith(prefix) and name[len(prefix) :] in self.declared:
                    name = name[len(prefix) :]
        return self.names.get(name, name)


NO_CALLS = CallRules()
"""Rules of a request without tools."""
