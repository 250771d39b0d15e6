"""Code that the model ran, as Markdown."""

import pytest

from gateway.gemini.code_markdown import code_markdown
from gateway.gemini.events import CodePart


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (CodePart(0, source="print(1)"), "\n```python\nprint(1)\n```\n"),
        (CodePart(0, output="1\n"), "\n```\n1\n\n```\n"),
        (CodePart(0, output="boom", failed=True), "\n```\nError: boom\n```\n"),
        (CodePart(0), "\n```\n\n```\n"),
    ],
)
def test_a_code_part_is_a_fenced_block(part: CodePart, text: str) -> None:
    assert code_markdown(part) == text
