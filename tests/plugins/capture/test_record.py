"""Captured requests have no secrets, and a size."""

from gateway.plugins.capture.record import Captured, fitted, without_secrets

KEY = "AIza" + "k" * 35


def test_o20_secrets_are_replaced_wherever_they_stand() -> None:
    body = {
        "messages": [{"content": f"my key is {KEY}, and sk-gw-abcdefgh12345678"}],
        "Authorization: Bearer abcdef123456": ["password=hunter22", 5, None, True],
        "url": "https://user:hidden@host/",
    }
    text = str(without_secrets(body))

    assert KEY not in text
    for secret in ("sk-gw-abcdefgh", "abcdef123456", "hunter22", "user:hidden"):
        assert secret not in text
    assert "my key is ****" in text


def test_o20_encoded_bytes_stay_as_they_are() -> None:
    data = f"QUFB{KEY}{'A' * 300}"
    part = {"inlineData": {"mimeType": "image/png", "data": data}, "thoughtSignature": data}

    assert without_secrets(part) == part


def test_o20_a_key_below_any_name_is_replaced() -> None:
    keys = ("data", "signature", "thoughtSignature", "b64_json", "encrypted_content")
    value = {"response": [{name: KEY, "mimeType": "text/plain"} for name in keys]}

    assert KEY not in str(without_secrets(value))
    assert KEY not in str(without_secrets({"data": f"it is {KEY} {'A' * 300}"}))


def test_o20_the_largest_bodies_are_left_out() -> None:
    record = Captured("r", 0, "POST", "/", "chat", "c", request={"a": 1}, calls=[1], answer=[2])
    sizes = {"request": 50, "calls": 60, "answer": 10}
    kept = fitted(record, sizes, 60)

    assert (kept.request, kept.calls, kept.answer, kept.left_out) == ({"a": 1}, [], [2], ["calls"])
    assert fitted(record, {"request": 5}, 4).request is None
