"""Changes of settings files that can be taken back: marked lines, or values merged into a JSON object.

Each function takes the text of a file and returns its new text. What the change replaces is kept in the text itself,
or, for JSON, which has no comments, in a record beside it. Each program has lines of its own, because several share the
shell's file.
"""

import json
import re
import tomllib
from typing import Any

import yaml

from gateway.cli.connect.clients import SettingsFile

_BEGIN, _END = "# >>> gateway connect {} >>>", "# <<< gateway connect {} <<<"
"""Lines around what was added for a program."""
_REPLACED = "# gateway connect {} replaced: "
"""Begin of a line that was there before, and that a new one would contradict."""
_ANY = re.compile(
    r"^[ \t]*# >>> gateway connect ([\w-]+) >>>$.*?^[ \t]*# <<< gateway connect \1 <<<$\n?", re.M | re.S
)

Record = list[tuple[list[str], Any, Any]]
"""Path, new value and value before (`ABSENT`) of each value that was merged into a JSON object."""
ABSENT = {"gateway connect": "absent"}


class CannotEdit(Exception):
    """A file cannot be changed safely; the message says why."""


class ByHand(CannotEdit):
    """A person can add the settings to a file that its program reads, but this module cannot."""


def with_lines(text: str, name: str, file: SettingsFile) -> str:
    """Return the text with a program's marked lines. Raises CannotEdit if it is not valid before or afterwards."""
    text, top = without_lines(text, name), file.top
    _refuse_repeated(_parse(text, file.format), file)
    body = text
    if top and file.item:  # the keys of a new file
        body = body if body.strip() else top
    elif top:
        names = {
            line.partition(":" if file.format == "yaml" else "=")[0].strip() for line in top.splitlines()
        }
        names.update(file.aside)
        body = _marked(top, name) + _set_aside(body, name, names, file.format)
    if file.item:
        body = _with_item(body, name, file.item)
    if file.lines:
        body = (body if not body or body.endswith("\n") else body + "\n") + _marked(file.lines, name)
    try:
        _parse(body, file.format)
    except CannotEdit as error:
        raise ByHand(f"with the new lines, {error}") from None
    return body


def without_lines(text: str, name: str) -> str:
    """Return the text without a program's marked lines, and with those that they replaced. Raises CannotEdit."""
    begin, end, replaced = _BEGIN.format(name), _END.format(name), _REPLACED.format(name)
    result, inside = [], False
    for line in text.splitlines(keepends=True):
        content = line.strip()
        if content == begin:
            inside = True
        elif content == end:
            inside = False
        elif not inside:
            result.append(line.removeprefix(replaced))
    if inside:
        raise CannotEdit(f"the line `{begin}` has no line `{end}` after it: take the lines out by hand")
    return "".join(result)


def is_ours(text: str) -> bool:
    """Return whether a text has nothing but marked lines."""
    return not _ANY.sub("", text).strip()


def _marked(lines: str, name: str, indent: str = "") -> str:
    body = "".join(f"{indent}{line}\n" for line in lines.splitlines())
    return f"{indent}{_BEGIN.format(name)}\n{body}{indent}{_END.format(name)}\n"


def _set_aside(text: str, name: str, keys: set[str], file_format: str) -> str:
    """Turn lines that set one of the names at the top level into comments.

    Variables need none of this: of two lines that set one, the later counts.
    """
    result, is_top = [], True
    sign = ":" if file_format == "yaml" else "="
    for line in text.splitlines(keepends=True):
        if file_format == "toml" and line.lstrip().startswith("["):
            is_top = False
        is_set = is_top and line.partition(sign)[0].rstrip() in keys
        result.append(_REPLACED.format(name) + line if is_set else line)
    return "".join(result)


def _with_item(text: str, name: str, item: str) -> str:
    """Return the YAML text with one more item at the begin of its list `models`."""
    lines = text.splitlines(keepends=True)
    at = next((i for i, line in enumerate(lines) if line.rstrip() == "models:"), None)
    if at is None:
        if "models" in (yaml.safe_load(text) or {}):
            raise ByHand("its `models` is not a list with one item a line")
        return text + ("" if not text or text.endswith("\n") else "\n") + _marked(f"models:\n{item}", name)
    after = next((line for line in lines[at + 1 :] if line.strip() and not line.lstrip().startswith("#")), "")
    indent = after[: len(after) - len(after.lstrip())] if after.lstrip().startswith("-") else "  "
    return "".join([*lines[: at + 1], _marked(item, name, indent), *lines[at + 1 :]])


def _refuse_repeated(whole: Any, file: SettingsFile) -> None:
    """Raise CannotEdit if a file has a table of TOML, or an item of a YAML list, that the lines would repeat."""
    for table in re.findall(r"^\[([\w.-]+)\]$", file.lines, re.M) if file.format == "toml" else ():
        value = whole
        for step in table.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None:
            raise CannotEdit(
                f"it has a table `[{table}]` of its own already: give that another name, or remove it"
            )
    if isinstance(whole, list) and file.lines:
        known = {item.get("model_id") for item in whole if isinstance(item, dict)}
        for model in re.findall(r"^- model_id: (\S+)$", file.lines, re.M):
            if model in known:
                raise CannotEdit(
                    f"it has a `model_id: {model}` of its own already: rename that, or remove it"
                )


def _parse(text: str, file_format: str) -> Any:
    """Return the value of a text, None for one without a format. Raises CannotEdit if its program could not read it."""
    try:
        if file_format == "toml":
            return tomllib.loads(text)
        if file_format == "yaml":
            value = yaml.safe_load(text)
            if value is not None and not isinstance(value, dict | list):
                raise CannotEdit("it is neither an object nor a list")
            return value
        return None
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise CannotEdit(f"it is not valid: {error}") from None


def with_values(text: str, values: dict[str, Any]) -> tuple[str, Record]:
    """Return the JSON text with values merged into its object, and what they replaced. Raises CannotEdit."""
    whole = _object(text)
    record: Record = []
    _merge(whole, values, [], record)
    return _written(whole), record


def without_values(text: str, record: Record) -> str:
    """Return the JSON text with the values before the merge, where nobody has changed them since. Raises CannotEdit."""
    whole = _object(text)
    for path, new, before in reversed(record):
        parents: list[dict[str, Any]] = [whole]
        for step in path[:-1]:
            inner = parents[-1].get(step)
            if not isinstance(inner, dict):
                break
            parents.append(inner)
        if len(parents) != len(path) or parents[-1].get(path[-1]) != new:
            continue  # another hand has been here
        if before != ABSENT:
            parents[-1][path[-1]] = before
            continue
        del parents[-1][path[-1]]
        for step, outer in zip(reversed(path[:-1]), reversed(parents[:-1]), strict=True):
            if not outer[step]:
                del outer[step]
    return _written(whole) if whole else ""


def _merge(whole: dict[str, Any], values: dict[str, Any], path: list[str], record: Record) -> None:
    for name, value in values.items():
        here = [*path, name]
        before = whole.get(name, ABSENT)
        if isinstance(value, dict) and (before == ABSENT or isinstance(before, dict)):
            _merge(whole.setdefault(name, {}), value, here, record)
        elif before != value:
            whole[name] = value
            record.append((here, value, before))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ByHand(
            f"it is not plain JSON (comments and final commas are not understood): {error}"
        ) from None
    if not isinstance(value, dict):
        raise CannotEdit("it is not an object")
    return value


def _written(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
