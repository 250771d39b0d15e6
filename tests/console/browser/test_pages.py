"""What holds on each page, at each width, in both themes and languages."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.console.browser.conftest import AXE, SECRETS, Console, Tab

pytestmark = pytest.mark.console
slow = pytest.mark.slow
PAGES = {
    "o": "overview", "r": "requests", "k": "keys", "u": "usage", "p": "pool", "e": "errors", "h": "health",
    "m": "models", "c": "config", "y": "playground", "a": "about",
}  # fmt: skip
LOOKS = [
    pytest.param((1280, "light", "en-US"), id="1280-light-en"),
    pytest.param((360, "dark", "en-US"), id="360-dark-en", marks=slow),
    pytest.param((360, "light", "zh-CN"), id="360-light-zh", marks=slow),
    pytest.param((1920, "dark", "zh-CN"), id="1920-dark-zh", marks=slow),
]
OUTSIDE = """() => [...document.querySelectorAll("main *, #panel *, dialog *, header *")].filter((node) => {
  const box = node.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !node.closest(".scroll, .wide, .tablist, svg, .visually-hidden, pre");
}).map((node) => node.outerHTML.slice(0, 120))
  .concat(document.documentElement.scrollWidth > innerWidth ? ["the page itself"] : [])"""
SMALL = """() => [...document.querySelectorAll("button, a.button, select, input:not([type=checkbox], [type=radio])")].filter((node) => {
  const box = node.getBoundingClientRect();
  return box.height && box.height < 43.5 && !node.closest(".visually-hidden, details:not([open])");
}).map((node) => node.outerHTML.slice(0, 120))"""

SEEN = """() => { const box = document.querySelector("#long .table").getBoundingClientRect();
  return document.elementFromPoint(box.left + 60, Math.max(0, box.top) + 300).closest("tr")?.textContent ?? "nothing";
}"""
"""The row of the long table that is in the middle of the window."""


def violations(here: Tab) -> list[str]:
    """Return what axe-core finds, or nothing where it is not installed."""
    if not AXE.exists():
        return []
    session = here.page.context.new_cdp_session(here.page)
    session.send("Runtime.evaluate", {"expression": AXE.read_text()})  # past the page's policy for scripts
    session.detach()
    result = here.page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {[node['html'][:120] for node in rule['nodes']]}" for rule in result["violations"]
    ]


def look(here: Tab, width: int) -> None:
    """Assert that what is shown is accessible, inside the window, and large enough for a finger on a phone."""
    assert violations(here) == []
    assert here.page.evaluate(OUTSIDE) == []
    if width <= 640:
        assert here.page.evaluate(SMALL) == []


@pytest.mark.parametrize("size", LOOKS)
def test_every_page_is_accessible_and_fits(tab: Callable[..., Tab], size: Any) -> None:
    here = tab(*size)
    here.page.goto(here.console.admin)
    here.page.wait_for_selector("#token:focus")
    look(here, size[0])
    here.sign_in()
    assert here.page.locator(".instance").text_content() in (f"{here.instance} alone", f"仅 {here.instance}")
    for key, name in PAGES.items():
        here.open(key, name)
        assert here.page.title().split(" · ")[0] == here.text("h1")
        look(here, size[0])


@slow
@pytest.mark.parametrize("size", LOOKS)
def test_panels_and_dialogs_are_accessible_and_fit(tab: Callable[..., Tab], size: Any) -> None:
    here = tab(*size)
    here.sign_in()
    here.keys("?")
    here.page.wait_for_selector("dialog")
    look(here, size[0])
    here.keys("Escape")
    for key in "rkp":
        here.open(key, PAGES[key])
        here.page.locator("main tbody .link, main .cell").first.click()
        here.page.wait_for_selector("#panel .facts, #panel .badge")
        look(here, size[0])
        here.keys("Escape")
        assert here.page.locator("#panel").count() == 0
    here.open("k", "keys")
    here.keys("n")
    here.page.wait_for_selector("dialog")
    look(here, size[0])


@slow
def test_names_of_keys_are_texts(tab: Callable[..., Tab]) -> None:
    here = tab()
    here.sign_in()
    here.open("k", "keys")
    here.wait_text("#page-keys tbody tr", "<img src=x onerror=alert(1)>")
    here.wait_text("#page-keys tbody tr", "鍵" * 80)

    assert here.page.locator("main img").count() == 0


@slow
@pytest.mark.parametrize("width", [1280, 360])
def test_ten_thousand_rows_scroll(tab: Callable[..., Tab], width: int) -> None:
    here = tab(width)
    here.sign_in()
    here.open("r", "requests")
    here.page.evaluate("""async () => {
      const { table } = await import(`/console/${document.documentElement.dataset.build}/table.js`);
      const rows = Array.from({ length: 10000 }, (_, i) => ({ id: i, name: `row ${i}` }));
      const columns = ["id", "name", "more", "still more"].map((id) => ({ id, label: id, value: (row) => row[id] ?? row.name }));
      const { node, prepend } = table({ columns, rows, key: (row) => row.id, empty: "-", name: "t", label: "t" });
      node.id = "long";
      document.querySelector("main").replaceChildren(document.querySelector("h1"), node);
      window.more = () => prepend([{ id: Math.random(), name: "new" }], 20000);
    }""")
    scroller = "#long .table" if width > 640 else "html"  # on a phone the page scrolls
    at = f"(part) => {{ const node = document.querySelector('{scroller}'); node.scrollTop = part * node.scrollHeight; }}"
    began = here.page.evaluate("performance.now()")
    here.page.evaluate(at, 1)
    here.wait_text("#long tbody:not(.gap) tr:last-child", "row 9999")
    seconds = (here.page.evaluate("performance.now()") - began) / 1000

    assert seconds < 5  # 12 to 18 while all rows before the last were drawn
    assert here.page.locator("#long tbody tr").count() <= 300
    assert violations(here) == []
    for part in (0.9, 0.5, 0.2):
        here.page.evaluate(at, part)
        here.settle()
        before = here.page.evaluate(SEEN)
        longest = here.page.evaluate(
            "() => { const start = performance.now(); window.more(); return performance.now() - start; }"
        )
        here.settle()
        assert "row" in before
        assert here.page.evaluate(SEEN) == before  # a new row at the top moves nothing
        assert longest < 100
    here.page.evaluate(at, 0)
    here.wait_text("#long tbody:not(.gap) tr:first-child", "new")


@slow
def test_a_wall_screen_sees_everything_and_changes_nothing(tab: Callable[..., Tab]) -> None:
    here = tab()
    here.sign_in(SECRETS["WALL"])
    here.open("k", "keys")

    assert here.page.locator("#new").is_disabled()
    here.page.locator("#page-keys tbody .link").first.click()
    here.page.wait_for_selector("#panel .facts")
    assert here.page.locator("#panel button", has_text="Revoke").count() == 0
    here.keys("Escape")
    here.open("p", "pool")
    assert here.page.locator("main button", has_text="Pause").count() == 0


@slow
def test_a_stale_session_asks_for_the_token(tab: Callable[..., Tab]) -> None:
    here = tab()
    here.sign_in()
    here.page.context.clear_cookies()
    here.keys("g", "k")

    here.page.wait_for_selector("#token:focus")


@slow
def test_a_gateway_that_does_not_answer_is_said(tab: Callable[..., Tab]) -> None:
    here = tab()
    here.sign_in()
    here.page.context.set_offline(True)
    here.wait_text("#notices", "The gateway does not answer.")
    here.page.context.set_offline(False)

    here.wait_count("#lost", 0)


@slow
@pytest.mark.parametrize("size", LOOKS)
@pytest.mark.parametrize("path", ["/", "/usage"])
def test_the_public_pages(tab: Callable[..., Tab], console: Console, size: Any, path: str) -> None:
    here = tab(*size)
    here.page.goto(console.clients + path)
    look(here, size[0])
    if path == "/usage":
        here.page.fill("#key", console.issue("holder", requests_per_minute=5, dollars={"day": 2}))
        here.page.keyboard.press("Enter")
        here.wait_text("#report", "holder")
        look(here, size[0])
    else:
        assert here.text("h1") == "hello"


def test_answers_have_no_secrets(console: Console) -> None:
    paths = [
        "summary", "about", "requests", "running", "attempts", "audit", "keys", "pool", "errors", "doctor", "usage",
        "models", "config", "play", "openapi.json",
    ]  # fmt: skip
    answers = {path: json.dumps(console.api(f"/admin/{path}", method="GET")) for path in paths}

    assert [(path, name) for path, text in answers.items() for name in SECRETS if SECRETS[name] in text] == []
