"""Parsers of the arguments of `gateway connect`."""

import argparse
import re
from difflib import get_close_matches
from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.cli.arguments import base_url
from gateway.cli.connect.clients import CLIENTS

_ENDPOINT = re.compile(
    r"(/v1(alpha|beta)?(/.*)?|/(chat/completions|completions|messages|responses|models|embeddings)(/.*)?)?/*\Z"
)
"""End of a URL that stands after the gateway's own: a version with what follows it, or a path of an API."""


def program(text: str) -> str:
    """Return the name of a program. Raises ArgumentTypeError, with a similar name, for one that is not known."""
    name = text.lower()
    if name in CLIENTS:
        return name
    words = {word.lower(): client.name for client in CLIENTS.values() for word in client.title.split()}
    words |= {client.title.lower(): client.name for client in CLIENTS.values()} | {
        key: key for key in CLIENTS
    }
    close = get_close_matches(name, words, 1)
    hint = f"did you mean {words[close[0]]!r}?" if close else f"the programs are {', '.join(CLIENTS)}"
    raise argparse.ArgumentTypeError(f"no program has the name {text!r}; {hint}")


def root(text: str) -> str:
    """Return the gateway's base URL: without `/v1`, the path of an API and final slashes. Raises ArgumentTypeError.

    A scheme may be left out for this machine only, where it is HTTP.
    """
    text = text.strip()
    if "://" not in text:
        rest = re.sub(r"\A(https?:)?/*", "", text)
        host = re.match(r"\[[^]]*]|[^:/?#]*", rest)
        if not host or not is_loopback(host[0].strip("[]")):
            raise argparse.ArgumentTypeError(
                f"expected http(s)://HOST, got {text!r}: write https://{rest or 'gateway.example.com'}"
            )
        text = f"http://{rest}"
    scheme, _, rest = text.partition("://")
    url = _ENDPOINT.sub("", base_url(f"{scheme.lower()}://{rest}"), count=1)
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL: {error}") from None
    return word(re.sub(r"(?<=://)0\.0\.0\.0(?=:|/|\Z)", "127.0.0.1", url))


def is_loopback(host: str) -> bool:
    """Return whether a host, without brackets, is this machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return address.is_loopback or address.is_unspecified


def word(text: str) -> str:
    """Return a text that needs no quotes in any of the files. Raises ArgumentTypeError for another."""
    if not re.fullmatch(r"[\w.:/@%+=~\[\]-]{1,500}", text, re.ASCII):
        raise argparse.ArgumentTypeError("expected letters, digits and . : / @ % + = ~ _ - only")
    return text
