"""Flame graphs."""

import xml.etree.ElementTree as ET

import pytest

from bench.page.flame import COLOURS, svg
from bench.page.stacks import Frame
from tests.support.paths import ROOT

_RUN = Frame("run", "asyncio/runners.py")
_SERVER, _CHAT = Frame("handle", "aiohttp/web.py"), Frame("Chat.<create>", "gateway/plugins/chat/routes.py")
_JSON, _RARE = Frame("decode", "msgspec/_core.py"), Frame("rare", "gateway/store/x.py")
_SVG = "{http://www.w3.org/2000/svg}"


def _boxes(text: str) -> dict[str, ET.Element]:
    groups = ET.fromstring(text).iter(f"{_SVG}g")
    return {group.findtext(f"{_SVG}title", ""): group for group in groups}


def test_a_box_is_as_wide_as_its_share_and_has_the_colour_of_its_stage() -> None:
    stacks = {(_RUN, _SERVER): 25, (_RUN, _SERVER, _CHAT, _JSON): 50, (_CHAT,): 24, (_RUN, _RARE): 1}

    boxes = _boxes(svg(stacks, "a <title>"))
    rects = {title: group.find(f"{_SVG}rect") for title, group in boxes.items()}
    attributes = {title: rect.attrib for title, rect in rects.items() if rect is not None}

    assert list(attributes) == [
        "handle (aiohttp/web.py), 75.0%",
        "Chat.<create> (gateway/plugins/chat/routes.py), 50.0%",
        "decode (msgspec/_core.py), 50.0%",
        "Chat.<create> (gateway/plugins/chat/routes.py), 24.0%",
        "rare (gateway/store/x.py), 1.0%",
    ]
    assert attributes["decode (msgspec/_core.py), 50.0%"]["width"] == "600.0"
    assert attributes["decode (msgspec/_core.py), 50.0%"]["fill"] == COLOURS["plugins"]
    assert attributes["Chat.<create> (gateway/plugins/chat/routes.py), 24.0%"]["x"] == "900.0"


def test_what_is_too_narrow_to_be_seen_is_left_out() -> None:
    boxes = _boxes(svg({(_RUN, _SERVER): 997, (_RUN, _RARE): 3}, "x"))

    assert list(boxes) == ["handle (aiohttp/web.py), 99.7%"]


def test_a_graph_without_samples_is_a_picture() -> None:
    assert _boxes(svg({}, "x")) == {}


@pytest.mark.parametrize("kind", ["unary", "stream"])
def test_the_graphs_of_the_page_are_small(kind: str) -> None:
    text = (ROOT / "docs" / "why" / f"flame-{kind}.svg").read_text("utf-8")

    assert len(text) < 50_000
    assert len(_boxes(text)) > 20
