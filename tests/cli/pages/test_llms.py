"""docs/llms.txt: each page of the index, with its description."""

import re

from gateway.cli.pages.llms import INDEX, page


def test_each_page_of_the_index_s_tables_has_a_line() -> None:
    rows = re.findall(r"^\|.*\|$", INDEX.read_text("utf-8"), re.M)
    paths = {path for row in rows for path in re.findall(r"\]\(([\w./-]+\.md)\)", row)}

    assert paths
    assert paths == set(re.findall(r"^- \[[^\]]+\]\(([\w./-]+)\): \S", page(), re.M))


def test_it_begins_with_a_title_and_a_summary() -> None:
    assert re.match(r"# [\w-]+\n\n> A gateway .+\n\n## Start\n\n- \[Try it\]\(start/try\.md\): ", page())
