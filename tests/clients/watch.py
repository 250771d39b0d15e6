"""Log lines of the gateway and of the client during one check: answers other than 200, retries, fallbacks.

`run.sh` names the gateway's log in GATEWAY_LOG. For a gateway that already runs there is none, and nothing is read.
"""

import json
import logging
import os
import re
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

_DEGRADED = ("adjusted", "fallbacks", "failures", "unknown_reason", "error")
"""Fields of the gateway's log that only an answer has which was repaired, or failed."""
_COMPLAINT = re.compile(
    r"\bretr(?:y|ies|ied|ying)\b|\bf[ae]ll(?:ing|s)? ?back\b|\bdegraded\b|\boverloaded\b", re.I
)
_SUCCESS = (200, 101, 302)
"""101 begins a WebSocket; 302 is Google's answer to the download of a file."""
_SEVERAL = ("images", "realtime")
"""Surfaces of which one request makes several calls: pictures, and turns of a session."""
_OWN = "watch-"
"""Beginning of the ids of our own requests."""
_PATIENCE = 10.0
"""Seconds in which the gateway has logged what it has answered."""


class Watch(logging.Handler):
    """A record of one check, from its creation to `verdict`."""

    def __init__(self, base_url: str, api_key: str) -> None:
        super().__init__(logging.INFO)
        self._base_url = base_url
        self._api_key = api_key
        self._log = Path(os.environ["GATEWAY_LOG"]) if os.environ.get("GATEWAY_LOG") else None
        self._begin = 0
        self._complaints: list[str] = []
        self.errors_expected = False
        """Set by a check that provokes an error on purpose."""
        if self._log is not None:
            self._exchanges()  # those of an earlier check, of which the last may not be logged yet
            self._begin = self._log.stat().st_size

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line of a library's log that is an error, or that tells of a retry or a fallback."""
        message = record.getMessage()
        if record.name == "asyncio":  # connections that a library did not close
            return
        if record.levelno >= logging.ERROR or _COMPLAINT.search(message):
            self._complaints.append(f"{record.name}: {message}")

    def read(self, text: str) -> None:
        """Keep the lines of a program's log that tell of a retry or a fallback."""
        self._complaints += [line for line in text.splitlines() if _COMPLAINT.search(line)]

    def requests(self) -> list[dict[str, Any]]:
        """Return the gateway's lines of generated answers; none without its log."""
        lines = self._exchanges() if self._log else []
        return [line for line in lines if line.get("requested_model")]

    def verdict(self) -> str:
        """Return the number of requests. Raises AssertionError for a complaint, or for an answer that is no plain 200."""
        if self.errors_expected:
            return ""
        assert not self._complaints, f"the client's log: {self._complaints[:3]}"
        if self._log is None:
            return ""
        lines, deadline = self._exchanges(), time.monotonic() + _PATIENCE
        while not lines and time.monotonic() < deadline:  # a session is logged once its connection has ended
            time.sleep(0.05)
            lines = self._exchanges()
        assert lines, "the gateway's log has no request"
        wrong = [line for line in lines if _is_wrong(line)]
        assert not wrong, f"the gateway's log: {wrong[:3]}"
        return f"; {len(lines)} requests"

    def _exchanges(self) -> list[dict[str, Any]]:
        """Return the gateway's lines of requests. A request of our own ends them, so that none is missed."""
        last = f"{_OWN}{uuid.uuid4().hex}"
        headers = {"Authorization": f"Bearer {self._api_key}", "x-request-id": last}
        urllib.request.urlopen(urllib.request.Request(f"{self._base_url}/models", headers=headers)).close()
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            lines = self._lines()
            if any(line.get("request_id") == last for line in lines):
                return [line for line in lines if not str(line.get("request_id")).startswith(_OWN)]
            time.sleep(0.05)
        raise AssertionError(f"the gateway has not logged its last answer within {_PATIENCE:.0f} s")

    def _lines(self) -> list[dict[str, Any]]:
        assert self._log is not None
        text = self._log.read_bytes()[self._begin :].decode()
        whole = text[: text.rfind("\n") + 1].splitlines()
        lines = [json.loads(line) for line in whole if line.startswith("{")]
        return [line for line in lines if line.get("event") == "exchange"]


def _is_wrong(line: dict[str, Any]) -> bool:
    return (
        line["status"] not in _SUCCESS
        or (line.get("attempts", 1) > 1 and line.get("surface") not in _SEVERAL)
        or any(line.get(name) for name in _DEGRADED)
    )
