"""Strict decoding of the YAML into Structs, with file, line and column for every fault.

PyYAML composes the tree; the marks of its nodes are the places. Scalars follow the core schema of YAML 1.2
(https://yaml.org/spec/1.2.2/#103-core-schema), so that `no` and `1:30` stay text. One run reports all faults.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import GenericAlias, NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml

from gateway.config.secret import Secret
from gateway.errors import ConfigError, Fault

T = TypeVar("T")
YamlPath = tuple[str | int, ...]

MAX_BYTES = 1024 * 1024
MAX_NODES = 10_000
"""Nodes after expansion of aliases; nested aliases could otherwise expand a small file without bound."""

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, object] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_CORE_TAGS = tuple(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")
)
_MOST_BRACKETS, _LONGEST_LINE = 500, 400
"""Bounds of a file's levels, in brackets and by indentation."""
_READ_OTHERWISE = re.compile(
    r"[\t\r\ufeff\x85\u2028\u2029]|^(?! *#).*[?!]|:\s*[,}\]]|\{[^{}]*:\s*#|[|>][-+0-9]*#", re.M
)
"""Tabs, byte order marks and rare line breaks, `?` and tags outside of comments, an empty value in braces, and a block
text that begins with a comment."""
_PLACE = re.compile(r" - at `(?:key in |key` in `)?\$(.*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_KINDS = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false",
          "object": "a mapping", "array": "a list", "null": "nothing"}  # fmt: skip


class Source:
    """A YAML file: its data, and the place of every value."""

    def __init__(self, text: str, file: str, environ: Mapping[str, str] | None = None) -> None:
        self.file = file
        self.text = text
        self._environ = os.environ if environ is None else environ
        self.lazy_secrets = False
        """Whether a secret that cannot be read is an error only when it is revealed."""
        self._nodes = 0
        self._root: yaml.MappingNode | None = self._compose(text)
        self.data: dict[str, Any] = self._plain(self._root, ()) if self._root is not None else {}

    def decode(self, type_: type[T], at: YamlPath = ()) -> T:
        """Return the value at a path as `type_`, whose defaults stand for an absent value.

        Raises ConfigError with all faults of the value.
        """
        value: Any = self.data
        for step in at:
            value = value.get(step) if isinstance(value, dict) else None
        value = {} if value is None else value
        faults = self._faults(type_, value, at)
        if faults:
            raise ConfigError(tuple(faults))
        return msgspec.convert(value, type_, dec_hook=self._secret)

    def fault(self, path: YamlPath, message: str, *, key: bool = False) -> Fault:
        """Return a fault at the value of a path, or at its key; for a missing path, at the nearest parent."""
        node: yaml.Node | None = self._root
        mark = node.start_mark if node is not None else None
        for depth, step in enumerate(path):
            child = _child(node, step)
            if child is None:
                break
            at_key = key and depth == len(path) - 1
            mark = (child[0] if at_key else child[1]).start_mark
            node = child[1]
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        return Fault(self.file, line, column, message)

    def _compose(self, text: str) -> yaml.MappingNode | None:
        try:
            root: Any = _composed_quickly(text)
            if root is None:
                root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
            raise ConfigError((Fault(self.file, *place, _composed(error)),)) from None
        except yaml.YAMLError as error:
            raise ConfigError((Fault(self.file, 1, 1, str(error).splitlines()[0]),)) from None
        except RecursionError:
            raise ConfigError(
                (Fault(self.file, 1, 1, "nested too deeply to be read (somewhere in the file)"),)
            ) from None
        if root is None or isinstance(root, yaml.MappingNode):
            return root
        raise ConfigError((_fault(self.file, root, "expected a mapping of sections"),))

    def _plain(self, node: yaml.Node, above: tuple[yaml.Node, ...]) -> Any:
        """Return a node as plain data. Raises ConfigError for duplicate keys, other tags and endless expansion."""
        self._nodes += 1
        if self._nodes > MAX_NODES or any(node is parent for parent in above):
            raise ConfigError((_fault(self.file, node, f"aliases expand to more than {MAX_NODES} nodes"),))
        if node.tag not in _CORE_TAGS and not node.tag.startswith("tag:yaml.org,2002:timestamp"):
            raise ConfigError((_fault(self.file, node, f"the tag {node.tag!r} is not supported"),))
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        above = (*above, node)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, above) for item in node.value]
        return self._mapping(node, above)

    def _mapping(self, node: yaml.Node, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError((_fault(self.file, key, "a key must be a plain scalar"),))
            name = key.value
            if name in result:
                message = f"duplicate key {name!r}: also in line {lines[name]}"
                raise ConfigError((_fault(self.file, key, message),))
            result[name] = self._plain(value, above)
            lines[name] = key.start_mark.line + 1
        return result

    def _faults(self, type_: Any, value: Any, at: YamlPath) -> list[Fault]:
        """Return all faults of a value. msgspec reports only the first, so each part is tried alone."""
        own = self._try(type_, value, at)
        if not own:
            return own
        bare = _member(_bare(type_), value)
        parts = _parts(type_, value)
        names: Any = GenericAlias(dict, (get_args(bare)[0], Any)) if get_origin(bare) is dict else Any
        faults: list[Fault] = []
        for part, type_of_part, name in parts:
            inner = self._faults(type_of_part, part, (*at, name))
            faults += self._try(names, {name: part}, (*at, name)) or inner
        if isinstance(bare, type) and issubclass(bare, msgspec.Struct) and isinstance(value, dict):
            known = {name for _, _, name in parts}
            unknown = {name: part for name, part in value.items() if name not in known}
            faults += [fault for name, part in unknown.items() for fault in self._try(bare, {name: part}, at)]
        return faults or own

    def _try(self, type_: type[Any], value: Any, at: YamlPath) -> list[Fault]:
        try:
            msgspec.convert(value, type_, dec_hook=self._secret)
        except msgspec.ValidationError as error:
            return [self._explain(error, type_, at)]
        return []

    def _secret(self, type_: type[Any], value: Any) -> Any:
        if type_ is Secret:
            return Secret.read(value, self._environ, lazy=self.lazy_secrets)
        raise NotImplementedError(type_)  # as msgspec expects of a hook for a type it does not decode

    def _explain(self, error: msgspec.ValidationError, type_: type[Any], at: YamlPath) -> Fault:
        """Return msgspec's error as a fault: its path as a place, its message in terms of YAML."""
        message = str(error)
        place = _PLACE.search(message)
        message = message[: place.start()] if place else message
        path = (*at, *_steps(place[1] if place else ""))
        where = ".".join(map(str, path)) or "the file"
        if unknown := _UNKNOWN.fullmatch(message):
            name = unknown[1]
            known = _fields(type_, path[len(at) :])
            from difflib import get_close_matches  # for a mistake only

            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else "."
            listed = f"Known: {', '.join(known)}" if known else "It has no keys."
            explained = f"unknown key {name!r} in {where}{hint} {listed}"
            return self.fault((*path, name), explained, key=True)
        if missing := _MISSING.fullmatch(message):
            return self.fault(path, f"{where} needs {missing[1]!r}")
        if message.startswith("Invalid enum value"):
            message += f"; one of {', '.join(map(str, _literals(type_, path[len(at) :])))}"
        examples = _examples(type_, path[len(at) - 1 :]) if "matching regex" in message else []
        if examples:
            close = [example for example in examples if str(path[-1]).upper() in example]
            hint = f"; did you mean {close[0]!r}?" if len(close) == 1 else "."
            where = ".".join(map(str, path[:-1]))
            message = f"unknown key {path[-1]!r} in {where}{hint} Known: {', '.join(examples)}"
            return self.fault(path, message, key=True)
        return self.fault(path, f"{where}: {_humanized(message)}")


def read_file(path: Path) -> Source:
    """Return a file as a Source. Raises ConfigError if it cannot be read or is not YAML."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError((Fault(str(path), 1, 1, f"larger than {MAX_BYTES} bytes"),))
        return Source(data.decode("utf-8-sig"), str(path))
    except OSError as error:
        raise ConfigError((Fault(str(path), 1, 1, f"cannot be read: {error.strerror}"),)) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError((Fault(str(path), line, 1, "not UTF-8"),)) from None


def _composed_quickly(text: str) -> yaml.Node | None:
    """Return the document as libyaml reads it, twenty times as fast; None where PyYAML has to.

    Both give the same nodes at the same places, but for what `_READ_OTHERWISE` finds. PyYAML has the better errors, and
    libyaml's recursion has no limit.
    """
    safe_loader = getattr(yaml, "CSafeLoader", None)
    if (
        safe_loader is None
        or _READ_OTHERWISE.search(text) is not None
        or text.count("[") + text.count("{") > _MOST_BRACKETS
        or max(map(len, text.splitlines()), default=0) > _LONGEST_LINE
    ):
        return None
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=safe_loader)
    except yaml.YAMLError:
        return None
    return root


def _composed(error: yaml.MarkedYAMLError) -> str:
    """Return PyYAML's message, in plain words for the two most frequent mistakes."""
    problem = error.problem or str(error.context)
    if "\\t" in problem:
        return "a tab: indent with spaces"
    if problem.startswith("expected <block end>"):
        return "the indentation does not match that of the lines above"
    return problem


def _bare(type_: Any) -> Any:
    """Return a type without `Annotated` and `| None`."""
    while get_origin(type_) is Annotated:
        type_ = get_args(type_)[0]
    if get_origin(type_) in (Union, UnionType):
        rest = [member for member in get_args(type_) if member is not NoneType]
        return _bare(rest[0]) if len(rest) == 1 else type_
    return type_


def _member(bare: Any, value: Any) -> Any:
    """Return the member of a union that a mapping or a list is meant to be; other types as they are."""
    if get_origin(bare) not in (Union, UnionType):
        return bare
    members = [_bare(member) for member in get_args(bare)]
    if isinstance(value, dict):
        fits = (m for m in members if isinstance(m, type) and issubclass(m, msgspec.Struct))
    else:
        fits = (m for m in members if isinstance(value, list) and get_origin(m) in (list, tuple))
    return next(fits, bare)


def _parts(type_: Any, value: Any) -> list[tuple[Any, Any, str | int]]:
    """Return part, type and name of each part of a mapping or list that the type describes."""
    bare = _member(_bare(type_), value)
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct) and isinstance(value, dict):
        hints = get_type_hints(bare, include_extras=True)
        fields = {field.encode_name: hints[field.name] for field in msgspec.structs.fields(bare)}
        return [(part, fields[name], name) for name, part in value.items() if name in fields]
    inner = [member for member in get_args(bare) if member is not ...]
    if get_origin(bare) is dict and isinstance(value, dict):
        return [(part, inner[1], name) for name, part in value.items()]
    if get_origin(bare) in (list, tuple) and isinstance(value, list) and len(inner) == 1:
        return [(part, inner[0], i) for i, part in enumerate(value)]
    return []


def _steps(path: str) -> YamlPath:
    """Return the steps of msgspec's `.a[0].b`.

    msgspec writes `[...]` for the key of a mapping, which becomes the step `...`.
    """
    return tuple(int(index) if index.isdecimal() else name or index for name, index in _STEP.findall(path))


def _scalar(node: yaml.ScalarNode) -> object:
    """Return a scalar's value by YAML 1.2's core schema; quoted and block scalars are text."""
    text: str = node.value
    if node.style:
        return text
    return _WORDS[text] if text in _WORDS else _number(text)


def _number(text: str) -> object:
    if _INT.fullmatch(text) and len(text) < 20:
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _fault(file: str, node: yaml.Node, message: str) -> Fault:
    return Fault(file, node.start_mark.line + 1, node.start_mark.column + 1, message)


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Return (key, value) below a node; an item of a list is its own key."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    if isinstance(node, yaml.MappingNode):
        pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
        return next((pair for pair in pairs if pair[0].value == step), None)
    return None


def _fields(type_: Any, path: YamlPath) -> list[str]:
    """Return the keys of the Struct at a path of a type."""
    info = _below(type_, path)
    return sorted(f.encode_name for f in info.fields) if isinstance(info, msgspec.inspect.StructType) else []


def _literals(type_: Any, path: YamlPath) -> tuple[Any, ...]:
    """Return the values of the Literal at a path of a type."""
    info = _below(type_, path)
    return info.values if isinstance(info, msgspec.inspect.LiteralType) else ()


def _examples(type_: Any, path: YamlPath) -> list[str]:
    """Return the examples of a key of the mapping above the last step of a path."""
    info = _below(type_, path[:-1])
    key = info.key_type if isinstance(info, msgspec.inspect.DictType) else None
    schema = key.extra_json_schema if isinstance(key, msgspec.inspect.Metadata) else None
    return list((schema or {}).get("examples", ()))


def _below(type_: Any, path: YamlPath) -> msgspec.inspect.Type:
    """Return the type at a path of a type."""
    info = msgspec.inspect.type_info(type_)
    for step in path:
        info = _inner(info)
        if isinstance(info, msgspec.inspect.StructType):
            info = next((f.type for f in info.fields if f.encode_name == step), info)
        elif isinstance(info, msgspec.inspect.DictType):
            info = info.value_type
        elif isinstance(info, msgspec.inspect.ListType | msgspec.inspect.VarTupleType):
            info = info.item_type
    return _inner(info)


def _inner(info: msgspec.inspect.Type) -> msgspec.inspect.Type:
    """Return an inspected type without metadata and `| None`."""
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    if isinstance(info, msgspec.inspect.UnionType):
        return next((_inner(t) for t in info.types if not isinstance(t, msgspec.inspect.NoneType)), info)
    return info


def _humanized(message: str) -> str:
    """Return msgspec's message with YAML's kinds in place of Python's types."""
    if message == "Invalid RFC3339 encoded date":
        return "expected a day, such as 2026-12-01"
    message = re.sub(r"`(\w+) \| (\w+)`", r"`\1` or `\2`", message)
    text = re.sub(r"`(\w+)`", lambda m: _KINDS.get(m[1], m[0]), message)
    text = text[:1].lower() + text[1:]
    if "expected a mapping, got true" in text:
        text += ": write {} for its defaults"
    if "expected a text, got a" in text or "expected a text, got true" in text:
        text += ": put it in quotes"
    return text
