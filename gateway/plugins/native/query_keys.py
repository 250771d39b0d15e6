"""Credentials in the URL of a request of Gemini's API. None is sent to Google there, because proxies log URLs.

Google's APIs take an API key as `key` or `$key`, in this spelling only
(https://cloud.google.com/apis/docs/system-parameters). It is moved to a header; another key than the header's is
refused in Google's words. Any other parameter that holds a credential is refused with 400. Google, too, answers 400 to
a parameter that it does not know: "Cannot bind query parameter". An OAuth token (`access_token`) is refused because the
gateway passes on API keys only.
"""

import re
from collections.abc import Iterable
from unicodedata import normalize
from urllib.parse import unquote

from gateway.errors import BadRequest, Unauthorized, scrub
from gateway.policy.clients.access import like_issued

Query = Iterable[tuple[str, str]]
"""Decoded names and values, in the order of the URL."""

_KEY_NAMES = ("key", "$key")
_NAMES = re.compile(
    r"\A(?:"
    r"(?:x|goog|google|gemini|api|access|oauth|auth|bearer|id|refresh|client|secret|private|service|session|user)*"
    r"(?:keys?|tokens?|secrets?|passwords?|credentials?)"
    r"|(?:x|proxy)*(?:authorization|authentication|auth|bearer|cookie)"
    r"|httpheaders)\Z"
)
"""Names of credentials, without signs and digits, in lower case. `$httpHeaders` contains an Authorization header."""
_OPAQUE = frozenset({"pageToken", "page_token", "upload_id"})
"""Parameters with a random value of Google's, which can contain the form of a key by chance."""
_SEVERAL = "Multiple authentication credentials received. Please pass only one."
"""Google's words (https://github.com/NousResearch/hermes-agent/issues/7893)."""
_PLAIN = re.compile(r"[!-~]*")
"""A query string that can be sent on as it is."""
_SHORTEST = 16
"""Characters from which a client's own key is looked for inside other values: a shorter one may be a word."""


def google_key(query: Query, header: str) -> str:
    """Return the key of the query and the header x-goog-api-key, "" for none. Raises BadRequest for different ones."""
    keys = {value for name, value in query if name in _KEY_NAMES and value} | ({header} if header else set())
    if len(keys) > 1:
        raise BadRequest(_SEVERAL, code="conflicting_api_keys")
    return keys.pop() if keys else ""


def without_keys(query: Query) -> list[tuple[str, str]]:
    """Return the parameters without `key` and `$key`."""
    return [pair for pair in query if pair[0] not in _KEY_NAMES]


def text_without_keys(text: str, query: Query) -> str | None:
    """Return a query string without `key` and `$key`, and otherwise as it was sent; None if it must be written anew.

    `query` has the decoded parameters of the text.
    """
    pairs = [pair for pair in text.split("&") if pair]
    names = [unquote(pair.partition("=")[0].replace("+", " ")) for pair in pairs]
    if _PLAIN.fullmatch(text) is None or names != [name for name, _ in query]:
        return None
    return "&".join(pair for pair, name in zip(pairs, names, strict=True) if name not in _KEY_NAMES)


def refuse_issued_keys(texts: Iterable[str]) -> None:
    """Raise Unauthorized for an issued key where Google's API has no place for a key: it would be sent to Google."""
    if any(like_issued(_decoded(text)) for text in texts):
        raise Unauthorized("Incorrect API key provided: send it as x-goog-api-key or Authorization only.")


def refuse_credentials(query: Query, own_key: str) -> None:
    """Raise BadRequest for credentials that are not removed. `own_key` is the client's own Gemini key, or ""."""
    for name, value in without_keys(query):
        if _is_credential(name, value, own_key):
            raise BadRequest(
                f"The query parameter `{scrub(_decoded(name))[:40]}` has a credential, and URLs are logged:"
                " leave it out, and send an API key as the header x-goog-api-key.",
                code="unsupported_parameter",
            )


def refuse_path(path: str, own_key: str) -> None:
    """Raise BadRequest for a path with the client's own key, or with a name that begins as a credential does.

    An id of Google's may contain such a form further on, by chance.
    """
    names = re.split("[/:]", path)
    if any(scrub(name).startswith("****") for name in names) or (
        len(own_key) >= _SHORTEST and own_key in path
    ):
        raise BadRequest(
            "Invalid path: it has a credential, and URLs are logged. Send an API key as the header x-goog-api-key.",
            code="invalid_request",
        )


def _is_credential(name: str, value: str, own_key: str) -> bool:
    """Return whether a parameter has the name of a credential, or contains text in the form of one."""
    name, value = _decoded(name), _decoded(value)
    letters = re.sub(r"[\W\d_]+", "", normalize("NFKC", name)).lower()
    if _NAMES.match(letters) or scrub(name) != name:
        return True
    if len(own_key) >= _SHORTEST and (own_key in value or own_key in name):
        return True
    return name not in _OPAQUE and scrub(value) != value


def _decoded(text: str) -> str:
    """Return the text without further percent-encoding, which a server on the way may remove."""
    for _ in range(4):
        if "%" not in text:
            break
        text = unquote(text)
    return text
