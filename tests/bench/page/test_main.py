"""The figures between the marks of docs/why/performance.md."""

import pytest

from bench import table
from bench.page.__main__ import BEGIN, END, PAGE, Profile, block, replaced
from bench.page.libraries import GROUPS
from bench.page.stacks import Frame, Stacks

_ABOUT = {
    "commit": "abc",
    "old": "def",
    "python": "Python 3.11.2",
    "machine": "2 cores",
    "load": 0.1,
    "quick": False,
}


def _document(**about: object) -> dict[str, object]:
    results = table.Results()
    results.add(table.UNARY, table.OURS, 100)
    results.add(table.UNARY, table.OLD, 250)
    return table.document(results, table.targets([1000]), {**_ABOUT, **about})


def test_the_block_has_the_figures_the_targets_the_stages_and_the_libraries() -> None:
    stacks: Stacks = {(Frame("f", "gateway/server/x.py"),): 3, (Frame("g", "aiohttp/web.py"),): 1}
    profile = Profile(100.0, stacks, {**dict.fromkeys(GROUPS, 0.0), "msgspec": 46.0})

    text = block(_document(), {"unary": profile, "stream": profile})

    assert "Commit abc, Python 3.11.2, 2 cores; `old` is commit def." in text
    assert "| unary | CPU µs | 100 | 250 |" in text
    assert "| unary: CPU of the old commit's | 0.400 | ≤ 0.43 | met |" in text
    assert "| READY, s | – | ≤ 0.35 | not measured |" in text
    assert "| server | 75.0 | 75.0 | middleware" in text
    assert "| aiohttp | 25.0 | 25.0 | the server's" in text
    assert "| msgspec | 46 | 46 | JSON |" in text
    assert "| all | 46 | 46 |  |" in text
    assert "quick" not in text


def test_a_quick_run_says_so() -> None:
    assert "From a quick run, to be measured again." in block(_document(quick=True), {})


def test_the_block_is_replaced_and_the_rest_of_the_page_stays() -> None:
    page = PAGE.read_text("utf-8")

    once = replaced(page, "figures\n")
    twice = replaced(once, "other figures\n")

    assert f"{BEGIN}\nfigures\n\n{END}" in once
    assert "\nother figures\n" in twice
    assert twice.replace("other figures", "figures") == once
    assert page.partition(BEGIN)[0] == twice.partition(BEGIN)[0]
    assert page.partition(END)[2] == twice.partition(END)[2]


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="figures: make bench-page"):
        replaced("# Performance\n", "x")
