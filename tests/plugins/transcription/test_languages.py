"""Names of languages."""

import pytest

from gateway.plugins.transcription.languages import english_name


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("en", "english"),
        ("pt-BR", "portuguese"),
        ("zh_TW", "chinese"),
        ("English", "english"),
        ("xx", "xx"),
        ("", ""),
    ],
)
def test_names(language: str, name: str) -> None:
    assert english_name(language) == name
