"""Sentences about what needs an operator, in both languages."""

import re

from gateway.console.needs_zh import SENTENCES, advice, reason, sentence
from gateway.policy.pool.projects import ADVICE
from tests.support.paths import ROOT

VALUES = {"project": "blue", "key": "", "model": "m", "reason": "day", "until": 1e9}


def test_each_need_has_a_sentence() -> None:
    names = ("needs.py", "merged.py")
    source = "".join((ROOT / "gateway" / "console" / name).read_text() for name in names)
    words = set(
        re.findall(r'"((?:no|ledger|key|project|budget|prices|config|restart|refused|instance)_\w+)"', source)
    )

    assert words - {"key_id", "key_name", "no_admin_token", "refused_by"} == set(SENTENCES)


def test_a_sentence_is_in_the_browser_s_language() -> None:
    english = "blue rests for m until 2001-09-09 01:46 UTC (day)."

    assert sentence("project_rests", VALUES, english, "en-US") == english.replace(
        "(day)", "(the day's quota is spent)"
    )
    assert (
        sentence("project_rests", VALUES, english, "zh-CN")
        == "blue 对 m 暂歇到 2001-09-09 01:46 UTC（当日配额已用完）。"
    )
    assert sentence("budget_low", {"name": "ada", "period": "month", "left_share": 0.03}, "-", "zh") == (
        "ada 的每月预算还剩 3%。"
    )
    values = {"count": 7, "requests": 9, "most": 4, "code": "e", "refused_by": "streams", "key_name": "ada"}
    assert sentence("refused_now", values, "-", "zh").endswith("其中 4 个为 e（ada 的 streams）。")
    assert sentence("refused_now", {**values, "refused_by": ""}, "-", "zh").endswith("其中 4 个为 e。")
    assert sentence("of_a_later_version", {}, "Something.", "zh") == "Something."
    assert {code for code in ADVICE if advice(code, "zh") in ("", ADVICE[code])} == set()
    assert (advice("bad", "en"), advice("unheard_of", "zh")) == (ADVICE["bad"], "")
    assert (reason("unheard_of", "zh"), reason("failing", None)) == ("unheard_of", "calls fail")
