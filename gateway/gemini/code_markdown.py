"""Markdown for code that the model ran, for dialects that have no field for it."""

from gateway.gemini.events import CodePart


def code_markdown(part: CodePart) -> str:
    """Return the code, or its output, as a fenced block."""
    if part.source is not None:
        return f"\n```python\n{part.source}\n```\n"
    return f"\n```\n{'Error: ' if part.failed else ''}{part.output or ''}\n```\n"
