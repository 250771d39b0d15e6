"""Rows of the console's lists."""

import json

from gateway.console.rows import dollars, encoded, row
from gateway.observability.recent import Recent
from gateway.observability.request_log import RequestLog

KEY = "AIzaSyD-secret-secret-secret-secret-secr"


def test_a_row_is_its_log_line_and_more() -> None:
    record = RequestLog("r", "POST", "/v1", 200, "m", key="key_a")
    shown = json.loads(encoded(row(Recent(7, 1.25, record), {"key_a": "ada"}.__getitem__, 1_500_000)))

    assert (shown["n"], shown["at"], shown["key_name"], shown["dollars"]) == (7, 1.25, "ada", 1.5)
    assert shown["request_id"] == "r"
    assert "fallbacks" not in shown
    assert dollars(None) is None


def test_no_secret_of_a_client_s_text_is_shown() -> None:
    record = RequestLog("r", "POST", f"/v1/{KEY}", 404, f"model-{KEY}", requested_model=f"x\u202e{KEY}")
    text = encoded(row(Recent(1, 0, record), str))

    assert KEY.encode() not in text
    assert "\u202e".encode() not in text
    assert json.loads(text)["n"] == 1
