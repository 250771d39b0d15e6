"""Tools that the client runs: each becomes a function with a unique name, which a call is returned under its own name.

Codex groups the tools of an MCP server in a `namespace` and finds the tool of a call by `namespace` and `name`
(https://github.com/openai/codex/issues/23186). `tool_search`, `shell`, `local_shell` and `apply_patch` are functions
that OpenAI's models know; Gemini gets a description and a schema of each. The shapes are those of openai-python's
`types/responses`.
"""

from typing import Any

from msgspec import Struct

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.invalid import missing, unsupported_value
from gateway.plugins.responses.wire import ResponseTool

_LONGEST_NAME = 64
"""Characters of a function's name that Gemini takes."""
_DEFAULT_NAMESPACE = "functions"
"""The namespace that Codex gives to a tool outside any
(https://github.com/jundot/omlx/issues/3371: `ToolName::with_default_namespace`)."""
_SEPARATORS = ("__", ".", ":", "/", "")
"""Separators with which models and clients write a namespace and a name as one."""
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}

_PATCH = (
    "Creates, updates or deletes one file of the user's workspace. `diff` of an update has one or more hunks: a line "
    "`@@`, optionally followed by the class or function that holds the change, then lines that begin with a space "
    "(unchanged context, three lines before and after), `-` (removed) or `+` (added), without line numbers. `diff` of "
    "a new file is its content, each line after a `+`. A deletion has no `diff`."
)
"""The format of the diffs that OpenAI's models write for `apply_patch`
(https://platform.openai.com/docs/guides/tools-apply-patch)."""


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


KNOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "tool_search": (
        "Searches for further tools. The tools that it returns can be called afterwards.",
        _object({"query": {"type": "string", "description": "Words that describe the tool."}}, "query"),
    ),
    "shell": (
        "Runs shell commands on the user's machine and returns the output and the exit code of each.",
        _object(
            {
                "commands": {**_TEXTS, "description": "Commands, run in this order."},
                "timeout_ms": {"type": "integer", "description": "Milliseconds that the commands may take."},
                "max_output_length": {
                    "type": "integer",
                    "description": "Characters of output to return, at most.",
                },
            },
            "commands",
        ),
    ),
    "local_shell": (
        "Runs one command on the user's machine and returns its output.",
        _object(
            {
                "command": {
                    **_TEXTS,
                    "description": 'The program and its arguments, such as ["bash", "-lc", "ls"].',
                },
                "working_directory": {"type": "string", "description": "Directory to run the command in."},
                "timeout_ms": {"type": "integer", "description": "Milliseconds that the command may take."},
                "env": {
                    "type": "object",
                    "additionalProperties": _TEXT,
                    "description": "Environment variables.",
                },
                "user": {"type": "string", "description": "User to run the command as."},
            },
            "command",
        ),
    ),
    "apply_patch": (
        _PATCH,
        _object(
            {
                "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
                "path": {"type": "string", "description": "Path of the file, relative to the workspace."},
                "diff": {"type": "string"},
            },
            "type",
            "path",
        ),
    ),
}
"""Description and parameters of the tools that OpenAI's models know without them."""
CLIENT_RUN = frozenset({"function", "custom", *KNOWN})
"""Types of tools that the client runs."""


class ClientTool(Struct, frozen=True):
    """The client's own form of a tool."""

    kind: str
    """One of `CLIENT_RUN`."""
    name: str
    namespace: str = ""


class ClientTools:
    """The tools of one request that the client runs, and the key of each.

    A key is the tool's name for the conversation builder. It equals the client's name outside a namespace.
    """

    def __init__(self, builder: ConversationBuilder) -> None:
        self._builder = builder
        self._keys: dict[tuple[str, str], str] = {}
        """Namespace and name to the key, where that is not the name."""
        self._known: dict[str, str] = {}
        """Kind of `KNOWN` to the key."""
        self._declared: dict[tuple[str, str, str], ResponseTool] = {}
        """Every tool, by a name for its kind (functions and custom tools share one), its namespace and name."""
        self._numbers: dict[str, int] = {}
        self._namespaces: dict[str, list[str]] = {}
        """Namespace to the keys of its tools."""
        self._inner: dict[str, list[str]] = {}
        """Name inside a namespace to the keys of all tools of that name."""

    def declare(
        self, tool: ResponseTool, at: str, schema_at: str, namespace: ResponseTool | None = None
    ) -> str:
        """Declare a tool of a type in `CLIENT_RUN`, and return its name for Gemini. Raises BadRequest.

        `at` is its path, `schema_at` that of its parameters.
        """
        known = tool.type in KNOWN
        name = tool.type if known else tool.name or ""
        if not name:
            raise missing(f"{at}.name")
        space = (namespace.name if namespace is not None else None) or ""
        identity = (tool.type if known else "", "" if known else space, name)
        box = self._builder.tools
        if (before := self._declared.get(identity)) is not None:
            if before != tool:
                self._builder.notes.add(at)
            return box.functions[self._key_of(identity)].sent
        self._declared[identity] = tool
        description = tool.description
        if namespace is not None and namespace.description and space not in self._namespaces:
            description = f"Tools of {space}: {namespace.description}\n\n{description or ''}".rstrip()
        key = self._new_key(identity)
        plain = key == name and not known and not space
        origin = None if plain else ClientTool(tool.type, name, identity[1])
        if tool.type == "custom":
            box.custom(key, description, tool.format, at, origin)
        else:
            fallback, schema = KNOWN.get(name, ("", None)) if known else ("", tool.parameters)
            if known:
                schema = tool.parameters or schema if name == "tool_search" else schema
                description = description or fallback
                if tool.environment is not None:
                    description = _in_environment(description, tool.environment, at)
            box.function(key, description, schema, at, schema_at, strict=bool(tool.strict), origin=origin)
        return box.functions[key].sent

    def key(self, name: str, namespace: str | None) -> str:
        """Return the key of a function or custom tool that an item names; it may not be declared."""
        box = self._builder.declared
        if box is None:
            return _joined(namespace, name) if namespace else name
        if key := self._keys.get((namespace or "", name)):
            return key
        plain = box.functions.get(name)
        if plain is not None and plain.origin is None and namespace in (None, "", _DEFAULT_NAMESPACE):
            return name
        if namespace:
            return _joined(namespace, name)
        return name if plain is not None else box.aliases.get(name, name)

    def known_key(self, kind: str) -> str:
        """Return the key of one of the tools of `KNOWN`."""
        return self._known.get(kind, kind)

    def chosen(self, kind: str | None, name: str, namespace: str | None) -> tuple[str, ...]:
        """Return the keys of the tools that a `tool_choice` names: several for a namespace or an ambiguous name."""
        if kind == "namespace":
            return tuple(self._namespaces.get(name, ()))
        if kind in KNOWN:
            return (self.known_key(kind),)
        key = self.key(name, namespace)
        box = self._builder.declared
        if namespace or box is None or (name in box.functions and key == name):
            return (key,)
        return tuple(self._inner.get(name, ())) or (key,)

    def _key_of(self, identity: tuple[str, str, str]) -> str:
        kind, namespace, name = identity
        return self._known[kind] if kind else self._keys.get((namespace, name), name)

    def _new_key(self, identity: tuple[str, str, str]) -> str:
        """Return a key that no other tool has, and record it with the other names of the tool."""
        kind, namespace, name = identity
        box = self._builder.tools
        key = stem = _joined(namespace, name) if namespace else name
        while key in box.functions:
            self._numbers[stem] = self._numbers.get(stem, 1) + 1
            key = f"{stem}_{self._numbers[stem]}"
        if kind:
            self._known[kind] = key
        elif key != name or namespace:
            self._keys[namespace, name] = key
        if namespace:
            self._namespaces.setdefault(namespace, []).append(key)
            self._inner.setdefault(name, []).append(key)
            for alias in (name, *(f"{namespace}{separator}{name}" for separator in _SEPARATORS)):
                box.aliases.setdefault(alias, key)
        return key


def is_hosted_search(tool: ResponseTool) -> bool:
    """Return whether a `tool_search` is OpenAI's own, over tools that the request declares.

    Only one that the client runs has a description and parameters (openai-python's `ToolSearchTool`).
    """
    if tool.execution is None:
        return tool.parameters is None and tool.description is None
    return tool.execution != "client"


def _joined(namespace: str, name: str) -> str:
    """Return `namespace__name` in at most 64 characters, where the name is not itself longer."""
    room = _LONGEST_NAME - len(name) - 2
    return f"{namespace.removesuffix('__')[:room]}__{name}" if room > 0 else name


def _in_environment(description: str, environment: dict[str, Any], at: str) -> str:
    """Return the description of a shell with its skills. Raises BadRequest for a container, which OpenAI would run."""
    kind = environment.get("type")
    if kind not in (None, "local"):
        raise unsupported_value(str(kind), ("local",), f"{at}.environment.type")
    skills = environment.get("skills")
    lines = [
        f"- {skill.get('name')} ({skill.get('path')}): {skill.get('description')}"
        for skill in (skills if isinstance(skills, list) else ())
        if isinstance(skill, dict)
    ]
    return (
        "\n".join([f"{description}\nSkills, each in a directory with instructions in SKILL.md:", *lines])
        if lines
        else description
    )
