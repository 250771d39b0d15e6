"""Every vector of translation.md section I that is chat's (1 to 115) stands somewhere, by number."""

import re
from pathlib import Path

from tests.support.paths import TESTS

_NUMBER = re.compile(r"\bI0?0?(\d{1,3})_|_I0?0?(\d{1,3})_|\bI\.(\d{1,3})\b", re.I)


def test_every_chat_vector_is_tested_by_number() -> None:
    names = [file.name for file in (TESTS / "golden").rglob("*.golden")]
    sources = [file.read_text() for file in TESTS.rglob("test_*.py") if file != Path(__file__)]
    found = {int(next(filter(None, match))) for text in [*names, *sources] for match in _NUMBER.findall(text)}

    assert sorted(set(range(1, 116)) - found) == []
