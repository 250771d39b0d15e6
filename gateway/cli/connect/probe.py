"""A call that shows whether the gateway answers at a URL."""

import http.client
from threading import Thread
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from gateway.cli.connect.arguments import is_loopback

_SECONDS = 2.0


def complaint(url: str, key: str, seconds: float = _SECONDS) -> str:
    """Return why the list of models at a base URL cannot be read with a key, or an empty text. Never raises."""
    results: list[str] = []
    thread = Thread(target=lambda: results.append(_complaint(url, key, seconds)), daemon=True)
    thread.start()
    thread.join(seconds + 1)  # the look-up of a name has no limit of its own
    return results[0] if results else f"{url} does not answer within {seconds:g} s"


def _complaint(url: str, key: str, seconds: float) -> str:
    request = Request(f"{url}/v1/models")  # noqa: S310 - HTTP and HTTPS only, by the parser of the argument
    request.add_unredirected_header("Authorization", f"Bearer {key}")
    is_own = is_loopback(urlsplit(url).hostname or "")
    try:
        with build_opener(*[ProxyHandler({})] if is_own else []).open(request, timeout=seconds):
            return ""
    except HTTPError as error:
        if error.code in (401, 403):
            return f"{url} refuses the key ({error.code})"
        return f"{url}/v1/models answers {error.code}: is this the gateway's URL?"
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
        return f"{url} does not answer: {text or type(reason).__name__}"
