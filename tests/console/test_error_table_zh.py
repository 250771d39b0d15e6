"""The table of errors in Chinese."""

from gateway.console.error_table import ERRORS
from gateway.console.error_table_zh import TEXTS, in_language

VALUES = {
    "cause": "the gateway restarts",
    "remedy": "[guard](../do/plugins.md#guard); the rule's name is in the log",
}


def test_each_cause_and_remedy_is_translated_and_none_else() -> None:
    assert {text for error in ERRORS for text in (error.cause, error.remedy) if text} == set(TEXTS)


def test_a_browser_gets_its_language() -> None:
    assert in_language(VALUES, "zh-CN,zh;q=0.9")["cause"] == "网关正在重启"
    assert in_language({**VALUES, "count": 3}, None) == {
        "cause": "the gateway restarts",
        "remedy": "guard; the rule's name is in the log",
        "count": 3,
    }
