"""The smallest value that a JSON Schema or an older Schema allows, for answers and arguments."""

import re
from typing import Any

from msgspec import Struct

SAMPLES: dict[str, Any] = {"city": "Paris", "location": "Paris", "name": "Ada", "age": 36, "answer": "PONG"}
"""Values of properties by name, where their type allows it."""
_STRINGS = {
    "date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01", "time": "00:00:00Z", "email": "ada@example.org",
    "uri": "https://example.org/", "uuid": "00000000-0000-4000-8000-000000000000",
}  # fmt: skip
_SETTLED = ("done", "complete", "completed", "accept", "approve", "allow", "pass", "user")
"""Words of an enum by which a judge ends an agent's work, or lets it go on: the agent asks again after all others."""
_OBJECTION = re.compile(r"block|deny|denied|refuse|reject|unsafe|danger", re.I)
"""Names of booleans that are an objection if they are true."""
_DEEPEST = 40


class _Filler(Struct):
    """Values for one schema; `samples` are values of properties by name."""

    root: Any
    samples: dict[str, Any]

    def value(self, schema: Any, name: str = "", seen: tuple[str, ...] = ()) -> Any:
        """Return the value for a schema; `seen` are the references on the way, so that recursion ends."""
        if not isinstance(schema, dict) or len(seen) > _DEEPEST:
            return "x"
        if "$ref" in schema:
            return self.value(self._target(schema["$ref"]), name, (*seen, str(schema["$ref"])))
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return next((word for word in schema["enum"] if word in _SETTLED), schema["enum"][0])
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                return self.value(_nearest(schema[key], seen), name, seen)
        if schema.get("allOf"):
            return self.value(_merged(schema), name, seen)
        return self._typed(schema, _kind(schema), name, seen)

    def _typed(self, schema: dict[str, Any], kind: str, name: str, seen: tuple[str, ...]) -> Any:
        if kind == "object":
            properties = schema.get("properties") or {}
            wanted = schema.get("required") or ([] if _recursive(seen) else list(properties))
            return {key: self.value(properties[key], key, seen) for key in wanted if key in properties}
        if kind == "array":
            return self._list(schema, name, seen)
        sample = self.samples.get(name)
        if kind == "integer" or kind == "number":
            return _number(schema, sample, kind)
        if kind == "string":
            text = sample if isinstance(sample, str) else _STRINGS.get(schema.get("format", ""), "x")
            return text.ljust(int(schema.get("minLength", 0)), "x")
        return {"boolean": not _OBJECTION.search(name), "null": None}.get(kind, "x")

    def _list(self, schema: dict[str, Any], name: str, seen: tuple[str, ...]) -> list[Any]:
        first = [self.value(item, name, seen) for item in schema.get("prefixItems") or ()]
        least = int(schema.get("minItems", 0 if first or _recursive(seen) else 1))
        items = schema.get("items") or {}
        return first + [self.value(items, name, seen) for _ in range(len(first), least)]

    def _target(self, ref: Any) -> Any:
        """Return the target of a JSON pointer, or an empty schema if there is none."""
        target = self.root
        for step in str(ref).removeprefix("#").strip("/").split("/") if ref != "#" else ():
            key = step.replace("~1", "/").replace("~0", "~")
            target = target.get(key, {}) if isinstance(target, dict) else {}
        return target


def sample_value(schema: Any, samples: dict[str, Any] | None = None) -> Any:
    """Return the smallest value that a schema of either dialect allows."""
    return _Filler(schema, {**SAMPLES, **(samples or {})}).value(schema)


def _kind(schema: dict[str, Any]) -> str:
    """Return the type in lower case; of several types the first that is not null."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    return str(kind or ("object" if "properties" in schema else "string")).lower()


def _nearest(branches: list[Any], seen: tuple[str, ...]) -> Any:
    """Return the first branch that is no reference on the way here, or else the first one."""
    out = (b for b in branches if not (isinstance(b, dict) and str(b.get("$ref")) in seen))
    return next(out, branches[0])


def _recursive(seen: tuple[str, ...]) -> bool:
    return len(set(seen)) < len(seen)


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with the branches of its allOf merged into it."""
    merged = {key: value for key, value in schema.items() if key != "allOf"}
    for branch in schema["allOf"]:
        for key, value in branch.items():
            if key in ("properties", "required") and key in merged:
                merged[key] = merged[key] | value if isinstance(value, dict) else merged[key] + value
            else:
                merged[key] = value
    return merged


def _number(schema: dict[str, Any], sample: Any, kind: str) -> Any:
    fits = isinstance(sample, int) and not isinstance(sample, bool)
    value = sample if fits else 7 if kind == "integer" else 7.5
    step = schema.get("multipleOf")
    least, most = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        least = schema["exclusiveMinimum"] + 1
    if "exclusiveMaximum" in schema:
        most = schema["exclusiveMaximum"] - 1
    value = value if least is None else max(value, least)
    value = value if most is None else min(value, most)
    return step * -(-value // step) if step else value
