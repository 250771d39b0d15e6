"""Rules of a script file: which requests get which reply, how often. For users' own tests."""

import fnmatch
import re
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from gateway.emulator.contents import prompt
from gateway.emulator.replies import Reply, failure, reply_to, said


class Match(Struct, frozen=True, forbid_unknown_fields=True):
    """All that is given must fit."""

    model: str = "*"
    prompt: str = ""
    """A regular expression, looked for anywhere in the last turn."""

    def __post_init__(self) -> None:
        """Raises ValueError for a prompt that is no regular expression."""
        try:
            re.compile(self.prompt)
        except re.error as error:
            raise ValueError(f"{self.prompt!r} is no regular expression: {error}") from error


class Answer(Struct, frozen=True, forbid_unknown_fields=True):
    """One of: a text, parts, a prompt command, a status with a message, a whole Gemini answer, or its chunks."""

    text: str | None = None
    parts: list[dict[str, Any]] | None = None
    """A candidate's parts, as they are; `finish` is its finishReason."""
    finish: str = "STOP"
    command: str | None = None
    status: int | None = None
    message: str = "scripted failure"
    raw: dict[str, Any] | None = None
    chunks: list[dict[str, Any]] | None = None
    """A stream's chunks, as they are; joined for a unary call."""

    def __post_init__(self) -> None:
        """Raises ValueError when more than one is given."""
        given = [name for name in _ANSWERS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"a reply is one of {', '.join(_ANSWERS)}; here are {' and '.join(given)}")


_STATUS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED",
    429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_ANSWERS = ("text", "parts", "command", "status", "raw", "chunks")


class Rule(Struct, forbid_unknown_fields=True):
    reply: Answer
    match: Match = Match()
    times: int = -1
    """How often it applies; for ever when negative."""


class Script:
    """Rules in order; the first that fits and is not used up replies."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules

    def reply(self, model: str, request: dict[str, Any]) -> Reply:
        """The first fitting rule's reply, or the default one."""
        for rule in self._rules:
            fits = fnmatch.fnmatchcase(model, rule.match.model) and re.search(
                rule.match.prompt, prompt(request)
            )
            if fits and rule.times:
                rule.times -= 1
                return _made(rule.reply, model, request)
        return reply_to(model, request)


def load_script(path: Path) -> Script:
    """Read a script. Raises ValueError that names the file and what is wrong in it."""
    try:
        return Script(msgspec.convert(yaml.safe_load(path.read_text("utf-8")) or [], list[Rule]))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise ValueError(f"{path}: {error}") from error


def _made(answer: Answer, model: str, request: dict[str, Any]) -> Reply:
    if answer.raw is not None:
        return Reply([answer.raw])
    if answer.chunks is not None:
        return Reply(list(answer.chunks))
    if answer.status is not None:
        return failure(answer.status, _STATUS.get(answer.status, "UNKNOWN"), answer.message)
    if answer.command is not None:
        told = {**request, "contents": [{"role": "user", "parts": [{"text": f"[[{answer.command}]]"}]}]}
        return reply_to(model, told)
    parts = [{"text": answer.text or ""}] if answer.parts is None else answer.parts
    return said(model, parts, answer.finish, request)
