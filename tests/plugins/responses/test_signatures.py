"""Signatures in `encrypted_content`."""

import pytest

from gateway.plugins.responses.signatures import seal, unseal


def test_a_sealed_signature_comes_back() -> None:
    assert unseal(seal("c2ln", "call_1")) == "c2ln"


@pytest.mark.parametrize(
    "content", ["", "gsig1:", "gsig1:!", "gsig1:AAAA", "gsig1:W10=", "gsig1:eyJzaWciOjF9", "gAAAAABk"]
)
def test_content_of_another_origin_has_no_signature(content: str) -> None:
    assert unseal(content) is None
