"""Rules, bound to the places where they apply."""

import pytest

from gateway.plugins.guard.rules import Rule, bound


def test_a_rule_is_for_its_places() -> None:
    rules = (Rule("a", "x", on=("prompt",)), Rule("b", "y", on=("answer",)), Rule("c", "z", action="log"))

    assert [rule.name for rule in bound(rules, "prompt")] == ["a", "c"]
    assert [rule.name for rule in bound(rules, "answer")] == ["b", "c"]


def test_o20_a_pattern_that_cannot_be_used_has_the_rule_s_name() -> None:
    with pytest.raises(ValueError, match="the pattern of rule 'a' cannot be used: repetitions need an end"):
        bound((Rule("a", "x*", on=("answer",)),), "prompt")
