"""Rules of a script file: which requests get which reply, how often. For users' own tests."""

import fnmatch
import re
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from gateway.fake.replies import Reply, failure, reply_to, said


class Match(Struct, frozen=True, forbid_unknown_fields=True):
    """All that is given must fit."""

    model: str = "*"
    prompt: str = ""
    """A regular expression, looked for anywhere in the last turn."""


class Answer(Struct, frozen=True, forbid_unknown_fields=True):
    """One of: a text, a prompt command, a status with a message, a whole Gemini answer, or its chunks."""

    text: str | None = None
    command: str | None = None
    status: int | None = None
    message: str = "scripted failure"
    raw: dict[str, Any] | None = None
    chunks: list[dict[str, Any]] | None = None
    """A stream's chunks, as they are; joined for a unary call."""


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
        prompt = "".join(p.get("text") or "" for p in request["contents"][-1]["parts"])
        for rule in self._rules:
            fits = fnmatch.fnmatchcase(model, rule.match.model) and re.search(rule.match.prompt, prompt)
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
        return failure(answer.status, "SCRIPTED", answer.message)
    if answer.command is not None:
        told = {**request, "contents": [{"role": "user", "parts": [{"text": f"[[{answer.command}]]"}]}]}
        return reply_to(model, told)
    return said(model, answer.text or "", request)
