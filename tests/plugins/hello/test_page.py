"""The page at `/` in both languages."""

import pytest

from gateway.plugins.hello.page import TEXTS, Facts, page


def facts(**changes: object) -> Facts:
    values: dict[str, object] = {
        "address": "https://gw.example", "draining": False, "passthrough": True, "issued": True, "contact": "",
        "usage": True, "model": "gemini-flash-latest",
    }  # fmt: skip
    return Facts(**values | changes)  # type: ignore[arg-type]


def test_both_languages_have_the_same_texts() -> None:
    assert list(TEXTS["en"]) == list(TEXTS["zh"])
    assert all(text.strip() for texts in TEXTS.values() for text in texts.values())


@pytest.mark.parametrize("lang", TEXTS)
def test_a_page_is_small_and_says_its_language(lang: str) -> None:
    text = page(facts(), lang).text or ""

    assert f'<html lang="{lang}">' in text
    assert len(text.encode()) < 8000
    assert text.count('<input type="radio"') == text.count("<pre") == 4
    assert text.count(" checked>") == 1


def test_who_issues_keys_is_named_or_the_operator() -> None:
    assert "ask its operator for one" in (page(facts(), "en").text or "")
    assert "ask Ada for one" in (page(facts(contact="Ada"), "en").text or "")
    assert "none is accepted" in (page(facts(passthrough=False, issued=False), "en").text or "")
