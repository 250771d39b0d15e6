"""One text of an answer: rules first, then the webhook in pieces."""

from gateway.plugins.guard.answer_text import AnswerText
from gateway.plugins.guard.rules import Rule, bound
from gateway.plugins.guard.webhook import Verdict
from gateway.plugins.guard.window import Window


def text(
    *rules: Rule, verdict: Verdict | None = None, size: int = 4
) -> tuple[AnswerText, list[tuple[str, bool]]]:
    asked: list[tuple[str, bool]] = []

    async def ask(piece: str, last: bool) -> Verdict:
        asked.append((piece, last))
        assert verdict is not None
        return verdict

    window = Window(bound(rules, "answer"), lambda _: None)
    return AnswerText(window, ask if verdict is not None else None, size), asked


async def test_o20_the_webhook_is_asked_about_pieces_of_a_size() -> None:
    answer, asked = text(verdict=Verdict("allow"))
    out = [await answer.feed(piece) for piece in ("ab", "c", "def", "g")] + [await answer.close()]

    assert out == ["", "", "abcde", "", "fg"]
    assert asked == [("abcdef", False), ("fg", True)]
    assert (answer.ended, answer.is_rewritten) == (None, False)


async def test_o20_a_word_over_two_questions_is_in_one_of_them() -> None:
    for cut in range(1, 60):
        answer, asked = text(verdict=Verdict("allow"), size=40)
        whole = "x" * cut + "forbidden" + "y" * 60
        out = [await answer.feed(whole[i : i + 5]) for i in range(0, len(whole), 5)] + [await answer.close()]

        assert "".join(out) == whole
        assert any("forbidden" in question for question, _ in asked)


async def test_o20_it_rewrites_and_ends() -> None:
    answer, _ = text(verdict=Verdict("rewrite", ["xyz"]))
    assert (await answer.feed("abcd"), answer.is_rewritten) == ("xy", True)

    answer, _ = text(verdict=Verdict("refuse", message="no"))
    assert (await answer.feed("abcd"), answer.ended) == ("", "no")


async def test_o20_text_before_a_match_is_still_asked_about() -> None:
    answer, asked = text(Rule("r", "STOP", message="stopped"), verdict=Verdict("allow"))

    assert await answer.feed("ab STOP and more") == "ab "
    assert asked == [("ab ", True)]
    assert answer.ended == "stopped"


async def test_rules_alone_need_no_webhook() -> None:
    answer, _ = text(Rule("r", "x", action="rewrite", replacement="y"))

    assert await answer.feed("axb") + await answer.close() == "ayb"
    assert answer.is_rewritten
