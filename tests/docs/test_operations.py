"""docs/do/operations.md: its table of errors has every code that the gateway answers with, and none else."""

import ast
import re
from collections.abc import Iterator

from gateway.observability import prometheus
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "do" / "operations.md").read_text("utf-8")
FROM_NGINX = {"gateway_down"}
NOT_IN_OPENAI_ERRORS = {"https_required"}
AS_THE_GATEWAY = {
    "method_not_allowed",
    "invalid_request",
    "unknown_url",
    "request_too_large",
    "rate_limit_exceeded",
    "invalid_host",
}
"""Codes of nginx's own refusals, which the gateway has, too."""


def _texts(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else r"\w+" for part in node.values)


def codes(source: str) -> set[str]:
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
    section = PAGE.partition("\n## Errors\n")[2].partition("\n### ")[0]
    listed = {
        code
        for row in re.findall(r"^\| [\d, ]+ \| ([^|]+) \|", section, re.M)
        for code in re.findall(r"`(\w+)`", row)
    }
    patterns = {
        pattern
        for path in (ROOT / "gateway").rglob("*.py")
        if "emulator" not in path.parts
        for pattern in codes(path.read_text("utf-8")) - {""}
    }

    assert [
        pattern for pattern in sorted(patterns) if not any(re.fullmatch(pattern, c) for c in listed)
    ] == []
    assert [c for c in sorted(listed - FROM_NGINX) if not any(re.fullmatch(p, c) for p in patterns)] == []


def test_nginx_answers_with_the_code_that_the_page_names() -> None:
    site = (ROOT / "config" / "nginx.conf").read_text("utf-8")

    assert set(re.findall(r'"code":"(\w+)"', site)) == FROM_NGINX | NOT_IN_OPENAI_ERRORS | AS_THE_GATEWAY


def test_each_metric_of_the_page_exists() -> None:
    known = set(re.findall(r"`(gateway_\w+)`", prometheus.markdown()))

    section = PAGE.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(gateway_\w+)`", section))

    assert len(named) > 5
    assert named - known == set()
