"""Docstrings and names read as the best technical documentation does; this holds the rules that a machine can check."""

import ast
import re
from collections.abc import Iterator

from tests.support.paths import ROOT

CLAUSE = re.compile(r"(What|Who|Whose|Which|Whatever|Whoever|How|Where|When|Why|That)\b")
EMPTY_NAMES = {"told", "found", "made", "given", "one"}
"""Names of variables that say nothing about the value."""
MISSING_PAGES = re.compile(
    r"\b(design|translation|robustness|field|wire|surfaces|house|console|packaging)\.md"
)


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield the place and the first line of each docstring: of modules, classes, functions and attributes."""
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Expr) and isinstance(text := getattr(node.value, "value", None), str):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text.strip().split("\n")[0]


def test_no_docstring_begins_with_a_clause() -> None:
    assert [f"{place} {line}" for place, line in docstrings() if CLAUSE.match(line)] == []


def test_variables_are_named_after_their_values() -> None:
    names = []
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in EMPTY_NAMES:
                names.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.id}")
            if isinstance(node, ast.arg) and node.arg in EMPTY_NAMES:
                names.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.arg}")

    assert names == []


def test_no_page_is_named_that_is_not_in_the_repository() -> None:
    here = {path.name for path in (ROOT / "docs").rglob("*.md")}
    places = [
        f"{path.relative_to(ROOT)}: {name[0]}"
        for folder in ("gateway", "tests", "docs", "config", "systemd", "bench")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file()
        and path.suffix in (".py", ".md", ".yaml", ".sh", ".service")
        and "node_modules" not in path.parts
        for name in MISSING_PAGES.finditer(path.read_text())
        if name[0] not in here and path.name != "test_prose.py"
    ]

    assert places == []
