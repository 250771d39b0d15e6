"""A flame graph as SVG: a box for each function, as wide as the time in it and below, in the colour of its stage."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

from bench.page.stacks import OTHER, STAGES, Frame, Stacks

_WIDTH, _ROW, _TOP = 1200, 17, 44
_LEAST = 0.004
"""Share of all samples below which a box is left out."""
_LETTER = 6.3
"""Width of a letter."""
_ROOT = "asyncio/runners.py"
"""Frames outside of the event loop are the same in every sample."""
_COLOURS = (
    *("#b8b8b8", "#8fb4d9", "#9ed3c1", "#f2b880", "#e8d27a", "#b9d587"),
    *("#d9a0c5", "#c7b4e3", "#ef9a8d", "#a8c7cf", "#d8d3c8"),
)
COLOURS = dict(zip(STAGES, _COLOURS, strict=True))


@dataclass
class _Box:
    frame: Frame | None
    stage: str
    count: int = 0
    children: "dict[Frame, _Box]" = field(default_factory=dict)


def _tree(stacks: Stacks) -> _Box:
    root = _Box(None, OTHER)
    for stack, count in stacks.items():
        loop = [i for i, frame in enumerate(stack) if frame.path == _ROOT]
        box = root
        box.count += count
        for frame in stack[loop[-1] + 1 :] if loop else stack:
            box = box.children.setdefault(frame, _Box(frame, frame.stage() or box.stage))
            box.count += count
    return root


def _boxes(box: _Box, x: float, depth: int, total: int) -> Iterator[tuple[float, int, _Box]]:
    """Yield the boxes below one, with their left edges and depths."""
    for child in sorted(box.children.values(), key=lambda child: -child.count):
        if child.count >= _LEAST * total:
            yield x, depth, child
            yield from _boxes(child, x, depth + 1, total)
        x += child.count / total * _WIDTH


def svg(stacks: Stacks, title: str) -> str:
    """Return the graph, with the outermost functions on top."""
    root = _tree(stacks)
    total = root.count or 1
    boxes = list(_boxes(root, 0, 0, total))
    height = _TOP + _ROW * (1 + max((depth for _, depth, _ in boxes), default=0))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
        "<style>text{font:10.5px monospace}rect{stroke:#fff;stroke-width:.5}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/><text x="4" y="14">{escape(title)}</text>',
        *_legend(),
        *(_drawn(x, depth, box, total) for x, depth, box in boxes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _legend() -> Iterator[str]:
    x = 4.0
    for stage, colour in COLOURS.items():
        yield f'<rect x="{x:.0f}" y="22" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 13:.0f}" y="31">{stage}</text>'
        x += 13 + _LETTER * len(stage) + 12


def _drawn(x: float, depth: int, box: _Box, total: int) -> str:
    frame = box.frame or Frame("", "")
    width, y = box.count / total * _WIDTH, _TOP + depth * _ROW
    title = f"{frame.name} ({frame.path}), {box.count / total:.1%}"
    room = int((width - 4) / _LETTER)
    label = frame.name if len(frame.name) <= room else frame.name[: room - 1] + "…"
    text = f'<text x="{x + 2:.1f}" y="{y + 12}">{escape(label)}</text>' if room > 2 else ""
    rect = f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW - 1}" fill="{COLOURS[box.stage]}"/>'
    return f"<g><title>{escape(title)}</title>{rect}{text}</g>"
