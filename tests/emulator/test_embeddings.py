"""Embeddings, and what Google refuses to embed."""

import math
from typing import Any

import pytest

from gateway.emulator.embeddings import vector
from tests.support.emulator import Served, call

HI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def embed(text: str = "a", **fields: Any) -> dict[str, Any]:
    return {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]}, **fields}


async def test_embeddings_are_the_same_each_time(served: Served) -> None:
    base = await served()
    old, new = f"{base}/gemini-embedding-001", f"{base}/gemini-embedding-2"

    _, both = await call("POST", f"{old}:batchEmbedContents", {"requests": [embed("a"), embed("b", taskType="CLUSTERING")]})  # fmt: skip
    _, single = await call("POST", f"{old}:embedContent", embed("a"))
    _, short = await call("POST", f"{old}:embedContent", embed("a", outputDimensionality=768))
    _, newer = await call("POST", f"{new}:embedContent", embed("a", outputDimensionality=768))

    a, b = (embedding["values"] for embedding in both["embeddings"])
    assert single == {"embedding": {"values": a}}
    assert a != b
    assert short["embedding"]["values"] == a[:768]
    assert math.hypot(*a) == pytest.approx(1)
    assert math.hypot(*a[:768]) < 0.6
    assert math.hypot(*newer["embedding"]["values"]) == pytest.approx(1)
    assert newer["usageMetadata"] == {"promptTokenCount": 1}
    assert vector("a", 3072, cut=True) == pytest.approx(a)


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("gemini-embedding-001:batchEmbedContents", {"requests": [embed()] * 101}, 400, "at most 100 requests can be in one batch"),
        ("gemini-embedding-001:batchEmbedContents", {}, 400, "must not be empty"),
        ("gemini-embedding-2:batchEmbedContents", {"requests": [embed()]}, 400, "requests[0].model"),
        ("gemini-embedding-001:embedContent", embed(outputDimensionality=64), 400, "[128, 3072]"),
        ("gemini-embedding-001:embedContent", embed(""), 400, "content is empty"), ("gemini-embedding-001:embedContent", {}, 400, "empty"),
        ("gemini-embedding-001:embedContent", [], 400, "Invalid JSON"), ("gemini-2.5-flash:embedContent", embed(), 404, "for embedContent"),
        ("gemini-embedding-001:generateContent", HI, 404, "is not supported for generateContent"),
    ],
)  # fmt: skip
async def test_unusable_inputs_are_refused(
    served: Served, path: str, body: Any, status: int, message: str
) -> None:
    got, answer = await call("POST", f"{await served()}/{path}", body)

    assert got == status
    assert message in answer["error"]["message"]
