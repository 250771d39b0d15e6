"""Settings, prompts and the report of results that the Python drivers share.

A check is a function that returns a note for its line, or raises. What a check demands does not depend on the
model: some text arrived, the tool ran with the right city, the object parsed, the client raised its own
authentication error.
"""

import base64
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import NoReturn

from tests.clients.watch import Watch

Check = Callable[[], str]
Checks = dict[str, Check | None]
"""A check's name to its function; None where the client has no such feature."""

BASE_URL = os.environ["BASE_URL"].rstrip("/")
"""The gateway's OpenAI surface; ends in /v1."""
ROOT_URL = BASE_URL.removesuffix("/v1")
"""The base of the Anthropic and the Gemini surface: their SDKs add the version themselves."""
API_KEY = os.environ.get("API_KEY", "sk-good")
ISSUED_KEY = os.environ.get("ISSUED_KEY", "")
"""A key that the gateway has issued; "" where it has issued none."""
BAD_KEY = os.environ.get("BAD_KEY", "sk-bad-key")
"""The emulator refuses a key that contains "bad"."""
MODEL = os.environ.get("MODEL", "gemini-3.8-flash")
SPEECH_MODEL = os.environ.get("SPEECH_MODEL", "gemini-3.8-flash-lite-tts")
PICTURE_MODEL = os.environ.get("PICTURE_MODEL", "gemini-nano-banana-2.1")
TRANSCRIPTION_MODEL = os.environ.get("TRANSCRIPTION_MODEL", "gemini-3.5-transcribe")
EMBED_MODEL = os.environ.get("EMBED_MODEL", "gemini-embedding-001")

_watches: list[Watch] = []
"""The watch of the check that runs."""

PNG_B64 = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGP4z8CAFWEXHbQSACj/P8Fu7N9hAAAAAElFTkSuQmCC"
)
"""Eight by eight pixels of red."""
PNG = base64.b64decode(PNG_B64)
PNG_URI = f"data:image/png;base64,{PNG_B64}"

CHAT_PROMPT = "Reply with the single word PONG."
TOOL_PROMPT = "What is the weather in Paris? Use the get_weather tool, then answer in one sentence."
TOOL_RESULT = "SUNNY-42"
SCHEMA_PROMPT = "Extract: Ada is 36 years old."
IMAGE_PROMPT = "What colour is this picture? One word."
WEATHER_PARAMETERS: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "City name"}},
    "required": ["city"],
    "additionalProperties": False,
}
PERSON_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def excerpt(text: str | None) -> str:
    """Return the start of an answer as a note. Raises AssertionError if there is no text."""
    assert text, "no text"
    return repr(text[:40])


def tool_note(text: str | None) -> str:
    """Return a note on the answer that followed a tool's result. Raises AssertionError if there is no text."""
    assert text, "no text after the tool's result"
    return "the answer quotes the tool's result" if TOOL_RESULT in text else f"the answer: {text[:60]!r}"


def is_paris(city: object) -> bool:
    """Return whether a tool's argument is the city of TOOL_PROMPT."""
    return isinstance(city, str) and "paris" in city.lower()


def expect_error(
    call: Callable[[], object], *types: type[Exception], status: int = 401, message: str = ""
) -> str:
    """Call, and return a note on the error. Raises AssertionError if there is none or it is another one.

    The status is the exception's own `status_code` or `code`; an exception without either must name it.
    """
    watch().errors_expected = True
    error = _raised(call, types)
    assert error, "no error raised"
    code = getattr(error, "status_code", None) or getattr(error, "code", None)
    is_right = code == status if isinstance(code, int) else str(status) in str(error)
    assert is_right, f"{type(error).__name__} with status {code}"
    assert message in str(error), str(error)
    return f"{type(error).__name__} {status}"


def _raised(call: Callable[[], object], types: tuple[type[Exception], ...]) -> Exception | None:
    try:
        call()
    except types as error:
        return error
    return None


def watch() -> Watch:
    """Return the watch of the check that runs."""
    return _watches[-1]


def prefixed(prefix: str, checks: Mapping[str, Check | None]) -> Checks:
    """Return the checks with a prefix before each name."""
    return {f"{prefix}_{name}": check for name, check in checks.items()}


def run(client: str, checks: Mapping[str, Check | None]) -> NoReturn:
    """Print a line for each check, and exit with 1 if any failed.

    ONLY names the checks to run, with commas; a failure's traceback goes to standard error. A check also fails if
    the log of the gateway or of the client shows an error, a retry or a fallback that it did not expect.
    """
    only = set(filter(None, os.environ.get("ONLY", "").split(",")))
    results = [_report(client, name, check) for name, check in checks.items() if not only or name in only]
    sys.exit(not all(results))


def _report(client: str, name: str, check: Check | None) -> bool:
    if check is None:
        print(f"SKIP {client} {name}: not offered by this client", flush=True)
        return True
    watch = Watch(BASE_URL, API_KEY)
    _watches.append(watch)
    logging.getLogger().addHandler(watch)
    try:
        note = check() + watch.verdict()
    except Exception as error:  # noqa: BLE001  # whatever a client raises is the result
        traceback.print_exc()
        text = " ".join(str(error).split())[:300]
        print(f"FAIL {client} {name}: {type(error).__name__}: {text}", flush=True)
        return False
    finally:
        logging.getLogger().removeHandler(watch)
    print(f"PASS {client} {name}: {note}", flush=True)
    return True
