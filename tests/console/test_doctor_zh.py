"""The doctor's findings in Chinese."""

import ast
from collections.abc import Iterator

import pytest

from gateway.console.doctor_zh import CHECKS, PARTS, TEXTS, in_language
from tests.support.paths import ROOT

SOURCES = ("cli/doctor.py", "cli/doctor_network.py", "console/doctor.py")
RESULTS = {"passed", "failed", "skipped"}
MAKERS = {*RESULTS, "_check", "Finding"}


def texts(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an argument may be, with {} for each value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    elif isinstance(node, ast.IfExp):
        yield from (*texts(node.body), *texts(node.orelse))


def findings() -> Iterator[list[ast.expr]]:
    """Yield the arguments of each call that makes a finding: the check, the message and the remedy."""
    for source in SOURCES:
        for node in ast.walk(ast.parse((ROOT / "gateway" / source).read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MAKERS:
                yield node.args


def test_each_message_and_remedy_has_its_chinese_and_none_else() -> None:
    written = {text for arguments in findings() for node in arguments[1:] for text in texts(node)}

    assert written - RESULTS - {"", "{}."} == set(TEXTS)


def test_each_name_of_a_check_is_known() -> None:
    checks = {text for arguments in findings() for text in texts(arguments[0])}

    assert checks - {"python", "redis", "dns", "tls"} == set(CHECKS)


@pytest.mark.parametrize("text", [*TEXTS, *PARTS])
def test_a_text_keeps_its_values(text: str) -> None:
    values = [f"value{number}" for number in range(text.count("{}"))]
    chinese = in_language(text.format(*values), "zh-CN,zh;q=0.9")

    assert chinese == {**TEXTS, **PARTS}[text].format(*values)
    assert in_language(text.format(*values), "en-US") == text.format(*values)


def test_values_that_are_texts_are_translated_too() -> None:
    assert in_language("Google accepts key 2 of project blue", "zh") == "Google 接受密钥 2（项目 blue）"
    assert in_language("something of a plugin", "zh") == "something of a plugin"
    assert in_language("event loop", "zh") == "事件循环"
