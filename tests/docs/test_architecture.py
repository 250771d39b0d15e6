"""docs/why/how-a-request-travels.md: its rooms are the layer test's, and its drawing is the way of a real request."""

import re
import sys
from types import FrameType

import aiohttp

from tests.support.paths import ROOT
from tests.support.servers import Fake, Serve
from tests.test_layers import ORDER

PAGE = (ROOT / "docs" / "why" / "how-a-request-travels.md").read_text("utf-8")
STEPS = re.findall(r"^(\d) ([\w/]+) +([\w/]+\.py) +([\w.]+)$", PAGE, re.M)
"""Number, room, file and function of each step of the drawing."""


def test_the_rooms_stand_in_the_order_of_the_layer_test() -> None:
    section = PAGE.partition("\n## The rooms\n")[2].partition("\n## ")[0]

    assert tuple(re.findall(r"^\d+\. `(\w+)` – ", section, re.M)) == ORDER


def test_the_drawing_has_nine_steps_each_in_its_room() -> None:
    assert [int(number) for number, *_ in STEPS] == list(range(1, 10))
    assert [file for _, room, file, _ in STEPS if not file.removesuffix(".py").startswith(room)] == []


async def test_a_streamed_chat_request_goes_the_way_of_the_drawing(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake
) -> None:
    drawn = [(file, function) for _, _, file, function in STEPS]
    order: list[tuple[str, str]] = []

    def profile(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        folder, _, file = code.co_filename.rpartition("/gateway/")
        step = (file, code.co_qualname)
        if event == "call" and folder == str(ROOT) and step in drawn and step not in order:
            order.append(step)

    base = await serve("", fake.url)
    body = {
        "model": "gemini-flash-latest",
        "stream": True,
        "messages": [{"role": "user", "content": "hi"}],
        "user": "u",
    }
    sys.setprofile(profile)
    try:
        async with http.post(base + "/v1/chat/completions", json=body) as response:
            text = await response.text()
    finally:
        sys.setprofile(None)

    assert text.endswith("data: [DONE]\n\n")
    assert order == drawn


def test_each_file_and_name_of_the_page_exists() -> None:
    """A name after a file is defined in that file."""
    files = {f"{name}.py" for name in re.findall(r"`(?:gateway/)?([a-z_]+(?:/[a-z_]+)*)\.py`", PAGE)}
    files -= {"wire.py", "request.py", "response.py", "fields.py", "routes.py"}  # of any surface
    assert [name for name in sorted(files) if not (ROOT / "gateway" / name).is_file()] == []

    named = re.findall(r"`([a-z_/]+\.py)` `([\w.]+)`", PAGE)
    missing = []
    for file, name in named:
        text = (ROOT / "gateway" / file).read_text("utf-8")
        missing += [
            f"{file} {part}" for part in name.split(".") if not re.search(rf"(def|class) {part}\b", text)
        ]
    assert len(named) > 10
    assert missing == []
