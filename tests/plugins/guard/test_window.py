"""The window over an answer: any cut of the text gives the same, and nothing of a match is sent."""

from typing import Any

import hypothesis
from hypothesis import strategies as st

from gateway.plugins.guard.rules import BoundRule, Rule, bound
from gateway.plugins.guard.window import Window

WORDS = Rule("words", r"(?i)\b(?:secret|top secret)\b", action="rewrite", replacement="***")
DIGITS = Rule("digits", r"\d{4}-\d{1,4}", action="rewrite", replacement="#")
STOP = Rule("stop", "STOP", action="refuse")
LOG = Rule("log", "hello", action="log")


def through(pieces: list[str], *rules: Rule) -> tuple[str, list[str], BoundRule | None]:
    """Return the text that is sent, the rules that were noted, and the one that has ended it."""
    noted: list[str] = []
    window = Window(bound(rules, "answer"), lambda rule: noted.append(rule.name))
    out = []
    for piece in pieces:
        passed = window.feed(piece)
        out.append(passed.text)
        if passed.ended_by is not None:
            return "".join(out), noted, passed.ended_by
    passed = window.close()
    return "".join([*out, passed.text]), noted, passed.ended_by


@hypothesis.given(st.data())
def test_o20_any_cut_gives_the_same(data: st.DataObject) -> None:
    text = data.draw(
        st.lists(
            st.sampled_from(["secret", "top ", "1234-56", "7", " ", "s", "hello", "STO", "P"]), max_size=12
        )
    )
    whole = "".join(text)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)))))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    rules = WORDS, DIGITS, STOP, LOG

    assert through(pieces, *rules) == through([whole], *rules)


def test_o20_a_match_over_pieces_is_replaced_whole() -> None:
    assert through(["a top s", "ecr", "et b"], WORDS)[0] == "a *** b"
    assert through(["secre", "ts"], WORDS)[0] == "secrets"  # another word
    assert through(["x", "secret"], WORDS)[0] == "xsecret"
    assert through(["1234-", "5", "6", "x"], DIGITS)[0] == "#x"


def test_o20_an_answer_ends_before_the_match() -> None:
    text, noted, rule = through(["please ST", "OP now"], STOP, LOG)

    assert (text, noted, rule and rule.name) == ("please ", ["stop"], "stop")


def test_a_rule_that_logs_changes_nothing_and_counts_each_match_once() -> None:
    assert through(list("hello hello"), LOG) == ("hello hello", ["log", "log"], None)


def test_without_rules_nothing_is_held_back() -> None:
    window = Window([], lambda _: None)

    assert window.feed("abc").text == "abc"


@hypothesis.given(st.data())
def test_o20_overlapping_rules_of_any_action_give_the_same_for_any_cut(data: st.DataObject) -> None:
    actions: Any = st.sampled_from(["refuse", "rewrite", "log"])
    patterns = data.draw(
        st.permutations(["ab", "b{1,3}c", r"\bab\b", "a.c", "bc", "c[ab]{1,2}+", "a|bcc", "^a"])
    )
    rules = tuple(
        Rule(f"r{i}", p, action=data.draw(actions), replacement="#") for i, p in enumerate(patterns[:3])
    )
    whole = data.draw(st.text("abc ", max_size=14))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)))))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    assert through(pieces, *rules) == through([whole], *rules)


def test_o20_a_rule_that_logs_hides_no_other() -> None:
    log, stop = Rule("log", "very forb", action="log"), Rule("stop", "forbidden", action="refuse")
    text, noted, rule = through(["a very forbidden b"], log, stop)

    assert (text, noted, rule and rule.name) == ("a very ", ["log", "stop"], "stop")
    rewrite = Rule("r", "forbidden", action="rewrite", replacement="#")
    assert through(["a very forb", "idden b"], log, rewrite)[0] == "a very # b"


def test_o20_overlapping_rewrites_leave_nothing_of_either() -> None:
    one, two = Rule("one", "abc", action="rewrite", replacement="1"), Rule("two", "cde", action="rewrite")

    for rules in ((one, two), (two, one)):
        assert through(list("xabcdey"), *rules)[0] == "x1y"


def test_o20_a_refusal_comes_before_a_rewrite_at_the_same_place_and_inside_one() -> None:
    rewrite, stop = Rule("r", "abc", action="rewrite", replacement="#"), Rule("s", "ab", action="refuse")

    assert through(["xabcy"], rewrite, stop)[0] == "x"
    text, _, rule = through(list("xabcy"), rewrite, Rule("s", "bc", action="refuse"))
    assert (text, rule and rule.name) == ("x#", "s")
