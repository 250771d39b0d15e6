"""Secrets by reference."""

from pathlib import Path

import pytest

from gateway.config.secret import Secret


@pytest.mark.row("P36")
def test_a_secret_comes_from_a_credential(tmp_path: Path) -> None:
    (tmp_path / "gemini").write_text("hush\r\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}

    assert Secret.read({"credential": "gemini"}, environ) == Secret("hush")
    for name in ("missing", "../gemini", "binary"):
        with pytest.raises(ValueError, match=f"there is no credential '{name}' in {tmp_path}"):
            Secret.read({"credential": name}, environ)
    with pytest.raises(ValueError, match="CREDENTIALS_DIRECTORY is not set"):
        Secret.read({"credential": "gemini"}, {})


def test_a_secret_is_not_shown() -> None:
    secret = Secret("hush")

    assert "hush" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "hush"


def test_a_secret_that_is_not_needed_may_be_missing() -> None:
    missing, empty = ({"env": name} for name in ("MISSING", "EMPTY"))
    environ = {"EMPTY": " "}
    for reference, message in ((missing, "'MISSING' is not set"), (empty, "'EMPTY' is empty")):
        secret = Secret.read(reference, environ, lazy=True)
        with pytest.raises(ValueError, match=message):
            secret.reveal()
        with pytest.raises(ValueError, match=message):
            Secret.read(reference, environ)
        assert secret != Secret.read(reference, environ, lazy=True)
    with pytest.raises(ValueError, match=r"expected \{env: NAME\}"):
        Secret.read("written down", environ, lazy=True)


def test_a_secret_knows_its_reference_also_while_it_is_missing() -> None:
    assert Secret.read({"env": "A"}, {"A": "hush"}).reference == ("env", "A")
    assert Secret.read({"credential": "b"}, {}, lazy=True).reference == ("credential", "b")
