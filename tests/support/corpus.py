"""Data of other projects that some tests read, and that is not in the repository.

Recorded Gemini traffic: GATEWAY_CORPUS, or ../shared/replay/corpus.jsonl.gz beside the clone. A gzip file of JSON
lines; each has `id`, `endpoint` (generateContent, streamGenerateContent, ...), the answer's `status`, and the answer
as `response` or, if it was streamed, as bytes in `raw_b64`.

OpenAI's OpenAPI description as JSON: SPEC, or ../shared/replay/specs/openai.json.

Without a file its tests are skipped, and say so.
"""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

Record = dict[str, Any]

_BESIDE = ROOT.parent / "shared" / "replay"
CORPUS = Path(os.environ.get("GATEWAY_CORPUS") or _BESIDE / "corpus.jsonl.gz")
OPENAI_SPEC = Path(os.environ.get("SPEC") or _BESIDE / "specs" / "openai.json")


def recorded(keep: Callable[[Record], bool]) -> list[Any]:
    """Return the kept records as parameters of a test, or one parameter that skips it if there is no corpus."""
    if not CORPUS.exists():
        reason = (
            f"no recorded Gemini traffic: {CORPUS} does not exist, and GATEWAY_CORPUS names no other file"
        )
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="no-corpus")]
    with gzip.open(CORPUS, "rt") as lines:
        records = [record for record in map(json.loads, lines) if keep(record)]
    return [pytest.param(record, id=str(record["id"])[-80:]) for record in records]


def openai_schemas() -> dict[str, Any]:
    """Return the schemas of OpenAI's description by name. Skips the test if there is no description."""
    if not OPENAI_SPEC.exists():
        pytest.skip(
            f"no OpenAPI description of OpenAI's API: {OPENAI_SPEC} does not exist, and SPEC names no other"
        )
    schemas: dict[str, Any] = json.loads(OPENAI_SPEC.read_text())["components"]["schemas"]
    return schemas
