"""A turn as the chunks that Google streams, with cumulative counts, or as the one unary answer."""

import re
import secrets
from typing import Any

from gateway.emulator.drawing import picture_tokens
from gateway.emulator.request import CACHED, generation, prompt, prompt_tokens, text_size
from gateway.emulator.turns import Turn

Chunk = dict[str, Any]
_LEAST = 4
"""The smallest piece of text, in characters, unless the prompt sets the number of chunks."""


def chunked(model: str, request: dict[str, Any], turn: Turn, pieces: int = 0) -> list[Chunk]:
    """Return the chunks of a stream. Texts are cut into `pieces`; 0 means three, or fewer for a short one."""
    finish = _cut(generation(request), turn)
    groups = _groups(turn.parts, pieces)
    if turn.grounding is not None or "text" not in groups[-1][-1]:
        groups.append([{"text": ""}])
    count = int(generation(request).get("candidateCount") or 1)
    chunks, size, drawn, ratings = [], 0, 0, _ratings(request)
    answer = _Answer(model, request, turn.thoughts)
    for i, parts in enumerate(groups):
        size += sum(text_size(part) for part in parts if not part.get("thought"))
        drawn += sum(picture_tokens(request) for part in parts if _is_picture(part))
        for index in range(count):
            candidate = _candidate(turn, parts, index, first=i == 0)
            if i == len(groups) - 1:
                _finish(candidate, turn, finish)
                if ratings:
                    candidate["safetyRatings"] = ratings
            _add_logprobs(candidate, request)
            chunks.append(answer.chunk({"candidates": [candidate]}, size * count, drawn * count))
    return chunks


def _is_picture(part: dict[str, Any]) -> bool:
    return str((part.get("inlineData") or {}).get("mimeType")).startswith("image/")


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
    """Return a rating for each category of safetySettings: HIGH if a word of its name is in the prompt ("hate")."""
    categories = [str(setting.get("category")) for setting in request.get("safetySettings") or ()]
    words = set(prompt(request).upper().split())
    return [
        {"category": name, "probability": "HIGH" if _words_of(name) & words else "NEGLIGIBLE"}
        for name in categories
    ]


def _words_of(category: str) -> set[str]:
    return set(category.removeprefix("HARM_CATEGORY_").split("_"))


def _cut(config: dict[str, Any], turn: Turn) -> str:
    """Cut the text at the first stop sequence and at the token limit; return the finish reason."""
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
    """Return the parts of each chunk: all calls together, each other part alone, and texts in pieces."""
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


def _add_logprobs(candidate: dict[str, Any], request: dict[str, Any]) -> None:
    """Add log-probabilities of the words in this chunk, with `logprobs` alternatives."""
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
        "topCandidates": [{"candidates": [token, *others]} for token in chosen],
    }


class _Answer:
    """The fields that all chunks of one answer share."""

    def __init__(self, model: str, request: dict[str, Any], thoughts: int = 0) -> None:
        self._cached = request.get(CACHED, 0)
        self._prompt = prompt_tokens(request) + self._cached
        self._thoughts = thoughts
        self._shared = {"modelVersion": model, "responseId": secrets.token_urlsafe(16)}

    def chunk(self, fields: Chunk, size: int = 0, drawn: int = 0) -> Chunk:
        """Return a chunk with the counts of the answer so far: four of its `size` bytes make a token.

        `drawn` are the tokens of pictures.
        """
        text = -(-size // 4) + drawn
        counts = {"promptTokenCount": self._prompt, "totalTokenCount": self._prompt + text + self._thoughts}
        if text:
            counts["candidatesTokenCount"] = text
        details = {"candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": drawn}]} if drawn else {}
        if self._thoughts:
            counts["thoughtsTokenCount"] = self._thoughts
        if self._cached:  # a part of the prompt (https://ai.google.dev/api/generate-content#UsageMetadata)
            counts["cachedContentTokenCount"] = self._cached
        return {**fields, "usageMetadata": {**counts, **details}, **self._shared}


def bare(fields: Chunk, model: str, request: dict[str, Any]) -> Chunk:
    """Return a chunk without a candidate, with the prompt's counts."""
    return _Answer(model, request).chunk(fields)


def joined(chunks: list[Chunk]) -> Chunk:
    """Return the unary answer that a stream's chunks join to; a single chunk is returned as it is."""
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
    before, logprobs = whole.get("content"), whole.get("logprobsResult")
    whole.update(piece)
    if before is not None:
        parts = [*(before.get("parts") or ()), *((piece.get("content") or {}).get("parts") or ())]
        whole["content"] = {**before, "parts": _merged(parts)}
    if logprobs and "logprobsResult" in piece:
        whole["logprobsResult"] = {key: logprobs[key] + piece["logprobsResult"][key] for key in logprobs}


def _merged(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join neighbouring texts of one kind, as unary answers have them."""
    merged: list[dict[str, Any]] = []
    for part in parts:
        if part == {"text": ""} and merged:
            continue
        if merged and part.keys() <= {"text", "thought"} and part.keys() == merged[-1].keys():
            merged[-1] = {**part, "text": merged[-1]["text"] + part["text"]}
        else:
            merged.append(part)
    return merged
