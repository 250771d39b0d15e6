"""Log-probabilities of a text, as the Responses API has them."""

from typing import Any

from gateway.gemini.wire import LogprobsCandidate, LogprobsResult

Object = dict[str, Any]
_NO_PROBABILITY = -9999.0
"""The number that OpenAI gives for a token that was as good as impossible."""


def token_logprobs(result: LogprobsResult) -> list[Object]:
    """Return each chosen token with its probability and the likeliest others."""
    tops = result.top_candidates or []
    tokens = []
    for i, chosen in enumerate(result.chosen_candidates or ()):
        others = tops[i].candidates or [] if i < len(tops) else []
        tokens.append({**_logprob(chosen), "top_logprobs": [_logprob(other) for other in others]})
    return tokens


def _logprob(candidate: LogprobsCandidate) -> Object:
    """Return a token. Google leaves out the 0 of a certain one (proto3 default)."""
    value = candidate.log_probability
    probability = max(_NO_PROBABILITY, value) if value is not None else 0.0
    return {"token": candidate.token, "logprob": probability, "bytes": list(candidate.token.encode())}
