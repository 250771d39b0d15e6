"""A turn as Google sends it: candidates in chunks with counts so far, or joined into one (translation.md D.2)."""

import hashlib
import re
from typing import Any

from gateway.emulator.contents import generation, prompt
from gateway.emulator.turns import Turn

Chunk = dict[str, Any]
_LEAST = 4
"""Characters that stay together, unless a number of chunks is asked for."""


def chunked(model: str, request: dict[str, Any], turn: Turn, pieces: int = 0) -> list[Chunk]:
    """The chunks of a stream. `pieces` is how many a text is cut into; three, or fewer for a short one."""
    finish = _cut(generation(request), turn)
    groups = _groups(turn.parts, pieces)
    if turn.grounding is not None or "text" not in groups[-1][-1]:
        groups.append([{"text": ""}])
    count = int(generation(request).get("candidateCount") or 1)
    chunks, told, ratings = [], "", _ratings(request)
    for i, parts in enumerate(groups):
        told += "".join(part.get("text", "") for part in parts if not part.get("thought"))
        for index in range(count):
            candidate = _candidate(turn, parts, index, first=i == 0)
            if i == len(groups) - 1:
                _finish(candidate, turn, finish)
                if ratings:
                    candidate["safetyRatings"] = ratings
            _likely(candidate, request)
            chunks.append(_usage({"candidates": [candidate]}, model, request, told * count, turn.thoughts))
    return chunks


def _candidate(turn: Turn, parts: list[dict[str, Any]], index: int, *, first: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": index}
    if turn.grounding is not None:
        candidate["groundingMetadata"] = {}
    if turn.urls is not None and first:
        candidate["urlContextMetadata"] = turn.urls
    return candidate


def _finish(candidate: dict[str, Any], turn: Turn, finish: str) -> None:
    candidate["finishReason"] = finish
    if turn.varies and candidate["index"]:
        last = candidate["content"]["parts"][-1]
        candidate["content"]["parts"][-1] = {**last, "text": f"{last['text']} ({candidate['index'] + 1})"}
    if any("functionCall" in part for part in turn.parts):
        candidate["finishMessage"] = "Model generated function call(s)."
    if turn.grounding is not None:
        candidate["groundingMetadata"] = turn.grounding


def _ratings(request: dict[str, Any]) -> list[dict[str, Any]]:
    """A rating for each category that is set: HIGH where the prompt holds a word of its name, such as "hate"."""
    categories = [str(setting.get("category")) for setting in request.get("safetySettings") or ()]
    asked = prompt(request).upper()
    return [
        {"category": name, "probability": "HIGH" if _names(name) & set(asked.split()) else "NEGLIGIBLE"}
        for name in categories
    ]


def _names(category: str) -> set[str]:
    return set(category.removeprefix("HARM_CATEGORY_").split("_"))


def _cut(config: dict[str, Any], turn: Turn) -> str:
    """Ends the text at the first stop sequence or the limit; the finish reason."""
    finish, left = turn.finish, 4 * (config.get("maxOutputTokens") or 1 << 40)
    for part in turn.parts:
        if "text" not in part or part.get("thought"):
            continue
        for stop in config.get("stopSequences") or ():
            part["text"] = part["text"].partition(stop)[0]
        if len(part["text"]) > left:
            part["text"], finish = part["text"][:left], "MAX_TOKENS"
        left -= len(part["text"])
    return finish


def _groups(parts: list[dict[str, Any]], pieces: int) -> list[list[dict[str, Any]]]:
    """Parts that share a chunk: all calls; else each alone, and a text in pieces."""
    groups: list[list[dict[str, Any]]] = []
    for part in parts:
        if "functionCall" in part and groups and "functionCall" in groups[-1][-1]:
            groups[-1].append(part)
        elif "text" in part and not part.get("thought"):
            groups += [[{**part, "text": text}] for text in _pieces(part["text"], pieces)]
        else:
            groups.append([part])
    return groups or [[{"text": ""}]]


def _pieces(text: str, pieces: int) -> list[str]:
    size = max(1 if pieces else _LEAST, -(-len(text) // max(1, pieces or 3)))
    return [text[i : i + size] for i in range(0, len(text), size)] or [""]


def _likely(candidate: dict[str, Any], request: dict[str, Any]) -> None:
    """Log-probabilities of the words in this chunk, with as many alternatives as were asked for."""
    config = generation(request)
    texts = [part.get("text", "") for part in candidate["content"]["parts"] if not part.get("thought")]
    tokens = re.findall(r"\s*\S+\s*", "".join(texts))
    if not config.get("responseLogprobs") or not tokens:
        return
    chosen = [{"token": token, "tokenId": 1 + i, "logProbability": -0.1} for i, token in enumerate(tokens)]
    others = [
        {"token": f"other{i}", "tokenId": 100 + i, "logProbability": -3.0 - i}
        for i in range(1, int(config.get("logprobs") or 0))
    ]
    candidate["avgLogprobs"] = -0.1
    candidate["logprobsResult"] = {
        "chosenCandidates": chosen,
        "topCandidates": [{"candidates": [one, *others]} for one in chosen],
    }


def _usage(chunk: Chunk, model: str, request: dict[str, Any], text: str, thoughts: int = 0) -> Chunk:
    """A chunk with its counts so far; about four bytes make a token."""
    asked, told = -(-len(prompt(request).encode()) // 4), -(-len(text.encode()) // 4)
    counts = {"promptTokenCount": asked, "totalTokenCount": asked + told + thoughts}
    if told:
        counts["candidatesTokenCount"] = told
    if thoughts:
        counts["thoughtsTokenCount"] = thoughts
    response_id = hashlib.sha256(f"{model}\0{prompt(request)}".encode()).hexdigest()[:22]
    return {**chunk, "usageMetadata": counts, "modelVersion": model, "responseId": response_id}


def bare(fields: Chunk, model: str, request: dict[str, Any]) -> Chunk:
    """A chunk without a candidate, with the prompt's counts."""
    return _usage(fields, model, request, "")


def joined(chunks: list[Chunk]) -> Chunk:
    """A stream's chunks as the one answer that generateContent gives; a single one is that already."""
    if len(chunks) < 2:
        return chunks[0] if chunks else {}
    whole = {key: value for chunk in chunks for key, value in chunk.items()}
    by_index: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for candidate in chunk.get("candidates") or ():
            _join(by_index.setdefault(candidate.get("index", 0), {}), candidate)
    if by_index:
        whole["candidates"] = list(by_index.values())
    return whole


def _join(whole: dict[str, Any], piece: dict[str, Any]) -> None:
    before, likely = whole.get("content"), whole.get("logprobsResult")
    whole.update(piece)
    if before is not None:
        parts = [*(before.get("parts") or ()), *((piece.get("content") or {}).get("parts") or ())]
        whole["content"] = {**before, "parts": _merged(parts)}
    if likely and "logprobsResult" in piece:
        both = (likely, piece["logprobsResult"])
        whole["logprobsResult"] = {key: [one for some in both for one in some[key]] for key in likely}


def _merged(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbouring texts of one kind as one part, as unary answers have them."""
    found: list[dict[str, Any]] = []
    for part in parts:
        if part == {"text": ""} and found:
            continue
        if found and part.keys() <= {"text", "thought"} and part.keys() == found[-1].keys():
            found[-1] = {**part, "text": found[-1]["text"] + part["text"]}
        else:
            found.append(part)
    return found
