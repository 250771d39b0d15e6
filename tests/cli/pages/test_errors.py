"""docs/refer/errors.md has every code that the gateway answers with, and none else."""

import ast
import re
from collections.abc import Iterator

from gateway.cli.pages.errors import page
from gateway.console.error_table import ERRORS, codes
from tests.support.paths import ROOT

FROM_NGINX = {"gateway_down"}


def _texts(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else r"\w+" for part in node.values)


def patterns(source: str) -> set[str]:
    """Return the error codes of a module, as patterns: `code` of classes, `code=` of calls, Google's meanings."""
    result: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
                if any(isinstance(target, ast.Name) and target.id == "code" for target in targets):
                    result.update(_texts(getattr(line, "value", None)))
        elif isinstance(node, ast.keyword) and node.arg == "code":
            result.update(_texts(node.value))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "_Meaning" and len(node.args) > 1:
            result.update(_texts(node.args[1]))
    return result


def test_each_code_of_an_error_is_in_the_table_and_none_else() -> None:
    listed = {code for error in ERRORS for code in codes(error)}
    known = {
        pattern
        for path in (ROOT / "gateway").rglob("*.py")
        if "emulator" not in path.parts
        for pattern in patterns(path.read_text("utf-8")) - {""}
    }

    assert [p for p in sorted(known) if not any(re.fullmatch(p, code) for code in listed)] == []
    assert [c for c in sorted(listed - FROM_NGINX) if not any(re.fullmatch(p, c) for p in known)] == []


def test_each_code_stands_in_the_page() -> None:
    rows = re.findall(r"^\| [\d, ]+ \| ([^|]+) \|", page(), re.M)

    assert [re.findall(r"`(\w+)`", row) for row in rows] == [codes(error) for error in ERRORS]


def test_words_in_parentheses_are_no_codes() -> None:
    (row,) = (error for error in ERRORS if "gateway_down" in error.codes)

    assert codes(row) == ["shutting_down", "gateway_down"]
    assert "| `shutting_down`, `gateway_down` (from nginx) |" in page()
