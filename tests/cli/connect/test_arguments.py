"""Parsers of the arguments of `gateway connect`."""

import argparse

import pytest

from gateway.cli.connect.arguments import program, root, word


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://gw.example.com", "https://gw.example.com"),
        ("https://gw.example.com/v1/", "https://gw.example.com"),
        ("https://gw.example.com/v1/messages", "https://gw.example.com"),
        ("https://gw.example.com/team/v1/chat/completions/", "https://gw.example.com/team"),
        ("https://gw.example.com/team/", "https://gw.example.com/team"),
        ("https://gw.example.com/chat/completions", "https://gw.example.com"),
        ("https://gw.example.com/v1beta/openai/", "https://gw.example.com"),
        ("https://gw.example.com/v1beta/models/gemini-x:generateContent", "https://gw.example.com"),
        ("HTTPS://gw.example.com//", "https://gw.example.com"),
        (" http://127.0.0.1:8080 ", "http://127.0.0.1:8080"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:8080/v1", "http://localhost:8080"),
        ("//localhost:8080", "http://localhost:8080"),
        ("http:/localhost:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("http://0.0.0.0:8080/v1", "http://127.0.0.1:8080"),
    ],
)
def test_a_url_is_cut_down_to_the_base(text: str, url: str) -> None:
    assert root(text) == url


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("gw.example.com/v1", "write https://gw.example.com/v1"),
        ("10.0.0.1:8080", "write https://10.0.0.1:8080"),
        (":8080", "expected http"),
        ("", "write https://gateway.example.com"),
        ("ftp://x", "expected http"),
        ("https://user:pw@x", "expected http"),
        ("https://x?key=y", "expected http"),
        ("http://x:99999", "Port out of range"),
        ("http://[::1", "not a URL"),
        ("http://x/a b", "expected letters"),
    ],
)
def test_another_url_is_refused_with_the_right_form(text: str, hint: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as error:
        root(text)
    assert hint in str(error.value)


@pytest.mark.parametrize(
    ("text", "name"), [("codex", "codex"), ("Codex", "codex"), ("gemini-cli", "gemini-cli")]
)
def test_a_program_is_known(text: str, name: str) -> None:
    assert program(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("codx", "codex"),
        ("gemini", "gemini-cli"),
        ("cluade", "claude"),
        ("claude-code", "claude"),
        ("copilot-cli", "copilot"),
    ],
)
def test_a_similar_name_is_suggested(text: str, name: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"did you mean '{name}'"):
        program(text)


def test_without_a_similar_name_all_are_named() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="aider, anthropic-sdk"):
        program("zzzz")


@pytest.mark.parametrize("text", ["", 'my key"', "a'b", "a$b", "a\nb", "é", "x" * 501])
def test_a_text_that_needs_quotes_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        word(text)
