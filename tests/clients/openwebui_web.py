"""Open WebUI in Chromium, by the variables that `gateway connect openwebui` writes: every button that asks a model."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from tests.clients import cli, common

HAS_PLAYWRIGHT = find_spec("playwright") is not None
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_PATIENCE = 90
"""Seconds in which the server starts, on a busy machine."""
_FACT = "The tower of the village is 42 metres high."
_SERVER = {
    "WEBUI_AUTH": "False",
    "WEBUI_SECRET_KEY": "test",
    "OFFLINE_MODE": "true",
    "HF_HUB_OFFLINE": "1",
    "ENABLE_OLLAMA_API": "False",
    "ANONYMIZED_TELEMETRY": "false",
    "SCARF_NO_ANALYTICS": "true",
}
_BROWSER = ("--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
_REMEMBER = """
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () { window.played = this; return play.call(this); };
"""
_pages: list[Any] = []
"""The page of the browser that runs."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def server() -> Iterator[str]:
    """Run Open WebUI; yield its URL. Raises AssertionError if it does not answer in time."""
    data = cli.FOLDER / "data"
    data.mkdir()
    url = f"http://127.0.0.1:{free_port()}"
    environ = cli.environment({**_SERVER, **cli.connect("openwebui", common.API_KEY), "DATA_DIR": str(data)})
    process = subprocess.Popen(
        [cli.path_of("open-webui"), "serve", "--host", "127.0.0.1", "--port", url.rpartition(":")[2]],
        env=environ,
        cwd=cli.WORK,
        stdout=sys.stderr,
    )
    try:
        deadline = time.monotonic() + _PATIENCE
        while not answers(f"{url}/health"):
            assert time.monotonic() < deadline, "the server does not answer"
            assert process.poll() is None, "the server has ended"
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
        return bool(response.status == 200)
    return False


def new_chat() -> Any:
    """Open a new chat. Return the page."""
    page = _pages[-1]
    page.goto(f"/?models={common.MODEL}")
    page.locator("#chat-input").click()
    return page


def send(page: Any, prompt: str) -> str:
    """Send a message, wait for the end of its answer, and return the text of the chat."""
    page.locator("#chat-input").click()
    page.keyboard.type(prompt)
    page.keyboard.press("Enter")
    page.locator("[id^=speak-button]").last.wait_for()
    return str(page.locator("#messages-container").inner_text())


def chat() -> str:
    text = send(new_chat(), common.CHAT_PROMPT)
    return common.excerpt(text.rpartition(common.CHAT_PROMPT)[2].strip())


def picture() -> str:
    page = new_chat()
    page.locator("#integration-menu-button").click()
    page.get_by_text("Image", exact=True).click()
    page.keyboard.press("Escape")
    send(page, "Draw a red square.")
    image = page.locator("#messages-container img[src*='/files/']").last
    image.wait_for()
    page.wait_for_function("image => image.naturalWidth > 0", arg=image.element_handle())
    width, height = image.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert min(width, height) > 200, (width, height)
    return f"{width}x{height}"


def voice_out() -> str:
    page = new_chat()
    send(page, common.CHAT_PROMPT)
    with page.expect_response("**/audio/speech") as response:
        page.locator("[id^=speak-button]").last.click()
    assert response.value.status == 200, response.value.text()
    page.wait_for_function("window.played?.currentTime > 0")
    return (
        f"{page.evaluate('window.played.duration'):.1f} s of {response.value.headers['content-type']}, played"
    )


def microphone() -> str:
    page = new_chat()
    page.locator("#voice-input-button").click()
    page.locator("#confirm-recording-button").wait_for()
    page.wait_for_timeout(1500)  # the length of the recording
    page.locator("#confirm-recording-button").click()
    page.wait_for_function("document.querySelector('#chat-input').innerText.trim().length > 0")
    return common.excerpt(page.locator("#chat-input").inner_text().strip())


def file_in_chat() -> str:
    page = new_chat()
    upload(page, "**/process/status*")
    assert _FACT in send(page, "How high is the tower?"), "the answer has nothing of the file"
    return "the file's text reached the model"


def knowledge() -> str:
    page = _pages[-1]
    page.goto("/workspace/knowledge/create")
    page.get_by_placeholder("Name your knowledge base").fill("village")
    page.get_by_placeholder("Describe your knowledge base").fill("Facts of the village")
    page.get_by_role("button", name="Create Knowledge").click()
    page.wait_for_url("**/workspace/knowledge/*-*")
    upload(page, "**/knowledge/*/files?*")
    page = new_chat()
    page.keyboard.type("#village")
    page.get_by_text("Facts of the village").or_(page.get_by_text("village", exact=True)).first.wait_for()
    page.keyboard.press("Enter")
    assert _FACT in send(page, "How high is the tower?"), "the answer has nothing of the knowledge"
    return "a passage was found by its embedding"


def upload(page: Any, done: str) -> None:
    """Give the page a file, and wait for the response that says it was taken in."""
    text = f"{_FACT} " * 40
    with page.expect_response(done) as response:
        page.locator("input[type=file]").first.set_input_files(
            {"name": "notes.txt", "mimeType": "text/plain", "buffer": text.encode()}
        )
    response.value.finished()


CHECKS = {
    "chat": chat,
    "picture": picture,
    "voice_out": voice_out,
    "microphone": microphone,
    "file_in_chat": file_in_chat,
    "knowledge": knowledge,
}


def main() -> None:
    if not HAS_PLAYWRIGHT or CHROMIUM is None:
        print(
            "SKIP Open WebUI: needs playwright (make dev) and Chromium (apt-get install chromium)", flush=True
        )
        return
    from playwright.sync_api import sync_playwright

    with server() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_BROWSER)
        context = browser.new_context(base_url=url, permissions=["microphone"])
        page = context.new_page()
        page.add_init_script(_REMEMBER)
        page.set_default_timeout(30_000)
        page.add_locator_handler(
            page.get_by_role("button", name="Okay, Let's Go!"), lambda button: button.click()
        )
        _pages.append(page)
        try:
            common.run("Open WebUI", CHECKS)
        finally:
            if folder := os.environ.get("SCREENSHOTS"):
                page.screenshot(path=f"{folder}/openwebui.png")
            browser.close()


if __name__ == "__main__":
    main()
