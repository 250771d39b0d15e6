"""The daily work of an operator, by keyboard alone, against a real gateway on the emulator."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.console.browser.conftest import Console, Tab, wait_until

pytestmark = pytest.mark.console
SIZES = [
    pytest.param((1280, "light"), id="1280-light"),
    pytest.param((360, "dark"), id="360-dark", marks=pytest.mark.slow),
]
slow = pytest.mark.slow


@pytest.mark.parametrize("size", SIZES)
def test_a_key_from_its_issue_to_its_end(tab: Callable[..., Tab], console: Console, size: Any) -> None:
    name = f"story-{size[0]}"
    here = tab(*size)
    here.sign_in()

    here.open("k", "keys")
    here.keys("n")
    here.page.wait_for_selector("dialog input[name=name]:focus")
    here.page.keyboard.type(name)
    here.keys("Enter")
    here.page.wait_for_selector("#new-key")
    here.keys("Escape")  # which does not close it: the key is shown once
    key = here.text("#new-key")
    here.tab_to("dialog input[type=checkbox]")
    here.keys("Space")
    here.press("Done", "dialog")
    here.wait_text("#page-keys tbody tr", name)

    here.open("r", "requests")
    here.page.wait_for_selector("#page-requests tbody .link")
    here.keys(".")
    here.wait_text("#page-requests [aria-live]", "live")
    assert console.ask(key, "weather in Rome") == 200
    here.wait_text("#page-requests tbody tr:first-child", name)
    here.keys("j", "Enter")
    here.wait_text("#panel .timeline li", "gemini-2.5-flash")
    assert "200" in here.text("#panel .facts")
    here.wait_text("#panel dl", "Google's answer")  # where the time went
    assert here.page.locator("#panel .timeline .span rect.k-a").count() == 1
    here.keys("Escape")

    open_key(here, name)
    here.press("Edit", "#panel")
    here.page.wait_for_selector("dialog")
    here.tab_to("dialog [name=requests_per_minute]")
    here.keys("Control+a", "1", "Enter")
    here.page.wait_for_selector("dialog", state="detached")
    wait_until(lambda: console.ask(key) == 429)
    open_request(here, f"status:429 key:{name}")
    here.wait_text("#panel .notice.warn", f"Requests per minute of key {name}: 1 of 1 · rate_limit_exceeded")
    assert "Free again in" in here.text("#panel .notice.warn")
    assert "What to do: nothing, if the limit is meant" in here.text("#panel .notice.warn")
    here.press(f"Keys: {name}", "#panel")  # where the limit is changed
    here.page.wait_for_selector("dialog [name=requests_per_minute]:focus")
    here.keys("Control+a", "2", "Enter")
    here.wait_text("#panel .facts", "2")
    here.keys("Escape")

    open_key(here, name)
    here.press("Revoke", "#panel")
    here.page.wait_for_selector("dialog input:focus")
    here.page.keyboard.type(name)
    here.keys("Enter")
    here.wait_text("#panel .badge", "revoked")
    wait_until(lambda: console.ask(key) == 401)
    open_request(here, f"status:401 key:{name}")
    here.wait_text("#panel .notice.warn", "key is revoked · invalid_api_key")


@slow
@pytest.mark.parametrize("size", SIZES)
def test_a_key_is_limited_and_revoked_by_three_clicks(
    tab: Callable[..., Tab], console: Console, size: Any
) -> None:
    name = f"clicks-{size[0]}"
    key = console.issue(name)
    here = tab(*size)
    here.sign_in()
    here.page.click("nav [data-page=keys]")
    row = here.page.locator("#page-keys tbody tr").filter(has_text=name)
    row.locator("button", has_text="Limits").click()
    here.page.keyboard.type("1")
    here.page.click("dialog .primary")
    here.page.wait_for_selector("dialog", state="detached")
    wait_until(lambda: console.ask(key) == 429)

    row.locator("button", has_text="Revoke").click()
    here.page.keyboard.type(name)
    here.page.click("dialog .danger")
    here.page.wait_for_selector("dialog", state="detached")
    wait_until(lambda: console.ask(key) == 401)


@slow
def test_a_key_is_suspended_in_place_of_revoked(tab: Callable[..., Tab], console: Console) -> None:
    key = console.issue("kept")
    here = tab()
    here.sign_in()
    here.open("k", "keys")
    row = here.page.locator("#page-keys tbody tr").filter(has_text="kept")
    row.locator("button", has_text="Revoke").click()
    here.press("Suspend", "dialog")
    here.page.wait_for_selector("dialog", state="detached")
    wait_until(lambda: console.ask(key) == 401)
    row.locator(".badge", has_text="suspended").wait_for()

    row.locator("button", has_text="Revoke").click()
    assert "Suspend" not in here.text("dialog")


@slow
def test_the_overview_leads_to_what_it_tells(tab: Callable[..., Tab], console: Console) -> None:
    console.ask(console.issue("overview", requests_per_minute=1))
    here = tab()
    here.sign_in()
    here.settle()
    hrefs = [link.get_attribute("href") for link in here.page.locator("a.figure").all()]
    here.page.locator(".failures a").nth(1).click()
    here.page.wait_for_selector("#panel .facts")

    assert hrefs[3] == "#/usage?days=1&bucket=1h"
    assert hrefs[2].startswith("#/requests")
    marked = here.page.locator("#page-requests tbody tr[aria-selected=true]")
    assert [row.get_attribute("data-id") for row in marked.all()] == [here.text("#panel code")]


@slow
def test_errors_by_count_and_rows_of_usage_lead_to_the_same_requests(
    tab: Callable[..., Tab], console: Console
) -> None:
    key = console.issue("often", requests_per_minute=1)
    for _ in range(12):
        console.ask(key)
    console.ask("sk-gw-unknown")
    here = tab()
    here.sign_in()
    here.open("e", "errors")
    assert "unknown" in here.text("#page-errors .card h2")
    here.tab_to("#page-errors select")
    here.page.select_option("#page-errors select", "count")
    counts = [int(text.split()[0]) for text in here.page.locator(".tally strong").all_inner_texts()]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] >= 11

    here.page.goto(f"{console.admin}/#/usage?by=client&days=1")
    here.page.locator("#page-usage .table .link", has_text="often").click()
    here.page.wait_for_selector("#page-requests tbody tr .link")
    here.wait_text("#page-requests .notice", "Only the key often.")
    here.settle()
    assert here.page.locator("#page-requests tbody tr").count() == 12
    assert "since:20" in here.page.input_value("#filter")


def open_key(here: Tab, name: str) -> None:
    """Open the panel of the key with a name, which the search finds alone."""
    here.keys("Escape")
    here.open("k", "keys")
    here.page.wait_for_selector("#page-keys tbody .link")
    here.keys("/")
    here.page.keyboard.type(name)
    here.keys("Enter")
    here.wait_count("#page-keys tbody tr", 1)
    here.press(name, "#page-keys tbody")
    here.page.wait_for_selector("#panel .facts")


def open_request(here: Tab, terms: str) -> None:
    """Open the panel of the first request that a filter finds."""
    here.keys("Escape")
    here.open("r", "requests")
    here.page.wait_for_selector("#page-requests tbody .link")
    here.keys("/")
    here.keys("Control+a")
    here.page.keyboard.type(terms)
    with here.page.expect_response("**/admin/requests?filter=*"):
        here.keys("Enter")
    here.settle()
    here.tab_to("#page-requests tbody .link")
    here.keys("Enter")
    here.page.wait_for_selector("#panel .facts")


@slow
@pytest.mark.parametrize("size", SIZES)
def test_a_project_rests_and_is_cleared(tab: Callable[..., Tab], console: Console, size: Any) -> None:
    key = console.issue(f"rest-{size[0]}")
    model = {1280: "gemini-2.5-pro", 360: "gemini-3.8-flash"}[size[0]]
    assert console.ask(key, "[[429 day]]", model) == 429
    here = tab(*size)
    here.sign_in()

    here.wait_text(".needs", model)
    here.open("p", "pool")
    cell = f".cell.warn[data-model='{model}']"
    here.page.wait_for_selector(cell)
    here.tab_to(cell)
    here.keys("Enter")
    here.wait_text("#panel", "quota")
    here.press("Let it work again", "#panel")
    here.page.wait_for_selector(f".cell.ok[data-model='{model}']")


@slow
@pytest.mark.parametrize("size", SIZES)
def test_a_request_in_progress_is_stopped(tab: Callable[..., Tab], console: Console, size: Any) -> None:
    key = console.issue(f"slow-{size[0]}")
    here = tab(*size)
    here.sign_in()
    here.open("r", "requests")
    here.page.wait_for_selector("#page-requests tbody .link")

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(console.ask, key, "[[slow 30]] hello")
        here.wait_text("#page-requests button", "1 running")
        here.press("1 running")
        here.wait_text("#panel tbody tr", f"slow-{size[0]}")
        here.press("Stop", "#panel")
        assert call.result(20) == 503
    here.wait_text("#panel", "Nothing is in progress.")
    here.keys("Escape")
    here.press("new")  # the list has held still
    here.wait_text("#page-requests tbody tr:first-child", "cancelled_by_operator")


@slow
@pytest.mark.parametrize("size", SIZES)
def test_a_configuration_is_checked_and_reloaded(
    tab: Callable[..., Tab], console: Console, size: Any
) -> None:
    here = tab(*size)
    here.sign_in()
    here.open("c", "config")

    here.tab_to("textarea")
    here.page.keyboard.insert_text("models: {defualt: gemini-2.5-pro}\n")
    here.press("Check")
    here.wait_text("#page-config .notice.bad", "did you mean 'default'")
    here.press("1:10")
    here.page.wait_for_selector("textarea:focus")
    assert here.page.evaluate("document.activeElement.selectionStart") == len("models: {")

    new = console.config.replace("gpt-4o: ", f"gpt-{size[0]}: gemini-2.5-pro, gpt-4o: ")
    here.keys("Control+a")
    here.page.keyboard.insert_text(new)
    here.press("Check")
    here.wait_text("#page-config .notice.ok", f"gpt-{size[0]}")
    console.file.write_text(new)
    try:
        here.press("Reload")
        here.wait_text("#page-config .card:first-of-type .notice.ok", f"gpt-{size[0]}")
        here.press("Reload")
        here.wait_text("#page-config .notice.info", "nothing differs")
        wait_until(lambda: f"gpt-{size[0]}" in str(console.api("/admin/config", method="GET")))
    finally:
        console.file.write_text(console.config)
        console.api("/admin/config/reload", {})


@slow
@pytest.mark.parametrize("size", SIZES)
def test_usage_by_model_and_day_is_exported(tab: Callable[..., Tab], size: Any) -> None:
    here = tab(*size)
    here.sign_in()
    here.open("u", "usage")
    here.wait_text("#page-usage .table tbody tr", "gemini-2.5-flash")
    here.page.wait_for_selector("#page-usage svg rect.k-a")

    with here.page.expect_download() as download:
        here.press("CSV")
    text = Path(download.value.path()).read_text()

    assert download.value.suggested_filename == "usage.csv"
    assert "gemini-2.5-flash" in text
    assert text.startswith("start,")


@slow
@pytest.mark.parametrize("size", SIZES)
def test_a_chat_with_a_picture(tab: Callable[..., Tab], size: Any) -> None:
    here = tab(*size)
    here.sign_in()
    here.open("y", "playground")
    picture = {"name": "dot.png", "mimeType": "image/png", "buffer": here.page.screenshot()}
    here.page.set_input_files("#files", picture)
    here.tab_to("#prompt")
    here.page.keyboard.type("[[chunks 8]] What is in this picture?")
    here.keys("Enter")

    here.wait_text(".bubble.assistant", "picture")
    here.wait_text("[role=tabpanel]", "inlineData")
    here.tab_to("[role=tab][aria-selected=true]")
    here.keys("ArrowRight")
    here.wait_text("[role=tabpanel]", "chat.completion.chunk")
    assert here.text("[role=tabpanel]").count('"delta"') > 3
    here.keys("ArrowRight")
    here.wait_text("[role=tabpanel] .facts", "$0.0")
