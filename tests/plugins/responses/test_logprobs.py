"""Log-probabilities of a text."""

from gateway.gemini.wire import LogprobsCandidate, LogprobsResult, TopCandidates
from gateway.plugins.responses.logprobs import token_logprobs


def test_each_token_has_its_bytes_and_the_likeliest_others() -> None:
    certain, other = LogprobsCandidate("é"), LogprobsCandidate("a", -1e30)
    result = LogprobsResult([certain, other], [TopCandidates([certain, other])])

    first, second = token_logprobs(result)
    assert (first["token"], first["logprob"], first["bytes"]) == ("é", 0.0, [195, 169])
    assert [other["logprob"] for other in first["top_logprobs"]] == [0.0, -9999.0]
    assert second["top_logprobs"] == []
