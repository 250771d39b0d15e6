"""Web pages of the public listener: one answer without parts from elsewhere, in English or Chinese."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

_STYLE = Path(__file__).with_name("web_page.css").read_text("utf-8")
_RANGE = re.compile(
    r"\s*([a-z]{1,8}|\*)(?:-[a-z0-9-]{1,20})?\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?", re.IGNORECASE
)
"""A language range with its weight (RFC 9110, 12.5.4)."""
_MAX_RANGES = 20


def language(request: web.Request, texts: Mapping[str, object]) -> str:
    """Return the language among `texts`, the first of which is the default, that the browser prefers."""
    weights: dict[str, float] = {}
    for item in request.headers.get("Accept-Language", "").split(",", _MAX_RANGES)[:_MAX_RANGES]:
        match = _RANGE.fullmatch(item)
        if match is not None:
            weights.setdefault(match[1].lower(), float(match[2] or 1))
    weight, first = max(
        ((weights.get(name, weights.get("*", 0)), -position) for position, name in enumerate(texts)),
        default=(0, 0),
    )
    return list(texts)[-first if weight else 0]


class WebPage:
    """The frame of a page: its style, its script, and the headers that let the browser run and load nothing else."""

    def __init__(self, style: str = "", script: str = "") -> None:
        self._style, self._script = _STYLE + style, script
        connect = "connect-src 'self'; " if "fetch(" in script else ""
        self._headers = {
            "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_hash(self._style)}'; "
            f"script-src 'sha256-{_hash(script)}'; {connect}base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cache-Control": "no-store",
            "Vary": "Accept, Accept-Language",
        }

    def response(self, lang: str, title: str, body: str) -> web.Response:
        """Return the answer with a page. `title` and `body` are markup: escape what comes from elsewhere."""
        text = (
            f'<!DOCTYPE html>\n<html lang="{lang}">\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta name="robots" content="noindex">\n<title>{title}</title>\n<style>{self._style}</style>\n'
            f"<main>\n{body}\n</main>\n<script>{self._script}</script>\n</html>\n"
        )
        return web.Response(text=text, content_type="text/html", headers=self._headers)


def _hash(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()
