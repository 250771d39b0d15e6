"""Token counts of one call, of a stream's chunks, and of several calls for one answer."""

from functools import reduce

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.gemini.usage import (
    MOST_TOKENS,
    TokenCounts,
    answer_counts,
    continued_counts,
    merge,
    merge_all,
    token_counts,
)
from gateway.gemini.wire import ModalityTokens, UsageMetadata

COUNT = st.none() | st.integers(-(2**70), 2**70)
USAGE = st.builds(
    UsageMetadata,
    *[COUNT] * 6,
    st.none()
    | st.lists(st.builds(ModalityTokens, st.sampled_from(["AUDIO", "IMAGE", 4, "NEW"]), st.integers())),
)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (UsageMetadata(), TokenCounts()),
        (UsageMetadata(17, 228, 412, 102, None, 759), TokenCounts(17, 0, 102, 228, 412)),
        (UsageMetadata(3520, 10, None, None, 3512, 3530), TokenCounts(3520, 3512, 0, 10, 0)),
        (UsageMetadata(10, total_token_count=110), TokenCounts(10, 0, 0, 100)),
        (
            UsageMetadata(10, tool_use_prompt_token_count=30, total_token_count=110),
            TokenCounts(10, 0, 30, 70),
        ),
        (UsageMetadata(10, thoughts_token_count=7, total_token_count=110), TokenCounts(10, 0, 0, 0, 7)),
        (UsageMetadata(10, 0, total_token_count=110), TokenCounts(10)),
        (UsageMetadata(10, total_token_count=4), TokenCounts(10)),
        (UsageMetadata(10, cached_content_token_count=11), TokenCounts(10, 10)),
        (UsageMetadata(-10, -1, -1, -1, -1, -1), TokenCounts()),
        (UsageMetadata(2**70, 1), TokenCounts(MOST_TOKENS, 0, 0, 1)),
    ],
)
def test_counts_of_a_call(usage: UsageMetadata, counts: TokenCounts) -> None:
    assert token_counts(usage) == counts


def test_sums_are_the_billed_tokens() -> None:
    counts = TokenCounts(prompt=10, cached=4, tool_use=3, completion=20, thoughts=7)

    assert (counts.input, counts.output, counts.total) == (13, 27, 40)


@pytest.mark.parametrize(
    ("modality", "prompt", "completion"),
    [
        ("TEXT", {"prompt_text": 7}, {}),
        ("DOCUMENT", {"prompt_text": 7}, {}),
        ("IMAGE", {"prompt_image": 7}, {"completion_image": 7}),
        ("VIDEO", {"prompt_video": 7}, {"completion_video": 7}),
        ("AUDIO", {"prompt_audio": 7}, {"completion_audio": 7}),
        (2, {"prompt_image": 7}, {"completion_image": 7}),
        (4, {"prompt_audio": 7}, {"completion_audio": 7}),
        ("HOLOGRAM", {}, {}),
    ],
)
def test_counts_by_modality(modality: str | int, prompt: dict[str, int], completion: dict[str, int]) -> None:
    details = [ModalityTokens(modality, 3), ModalityTokens(modality, -9), ModalityTokens(modality, 4)]

    assert token_counts(UsageMetadata(prompt_tokens_details=details)) == TokenCounts(**prompt)
    assert token_counts(UsageMetadata(candidates_tokens_details=details)) == TokenCounts(**completion)


@given(USAGE)
def test_every_count_is_in_bounds_and_cached_ones_are_of_the_prompt(usage: UsageMetadata) -> None:
    counts = token_counts(usage)

    assert all(0 <= getattr(counts, name) <= MOST_TOKENS for name in counts.__struct_fields__)
    assert counts.cached <= counts.prompt
    assert counts.input + counts.output == counts.total


def test_an_answer_of_several_calls_has_one_prompt() -> None:
    calls = [
        TokenCounts(10, 4, 1, 20, 5, 6, 7, 8, 9, 1, 2),
        TokenCounts(10, 0, 0, 30, 6, 1, 1, 1, 1, 3, 4),
    ]

    assert answer_counts(calls) == TokenCounts(10, 4, 1, 50, 11, 6, 7, 8, 9, 4, 6)
    assert answer_counts(calls[:1]) == calls[0]
    assert answer_counts([]) == TokenCounts()


EVERYTHING = UsageMetadata(
    1, 2, 3, 4, 5, 6, [ModalityTokens("TEXT", 1)], [ModalityTokens("AUDIO", 2)], "flex"
)


def test_counts_that_later_chunks_leave_out_are_kept() -> None:
    assert merge(EVERYTHING, UsageMetadata()) == EVERYTHING


@given(st.builds(UsageMetadata, *[st.integers(0, 9)] * 6, st.just([]), st.just([]), st.just("priority")))
def test_the_highest_counts_and_the_last_details_are_kept(later: UsageMetadata) -> None:
    parts = (
        later.prompt_token_count or 0,
        (later.candidates_token_count or 0) + (later.thoughts_token_count or 0),
    )
    assume(not all(parts) or sum(parts) + (later.tool_use_prompt_token_count or 0) != later.total_token_count)
    merged = merge(EVERYTHING, later)

    assert (merged.prompt_token_count, merged.candidates_token_count) == (
        max(1, later.prompt_token_count or 0),
        max(2, later.candidates_token_count or 0),
    )
    assert (merged.thoughts_token_count, merged.tool_use_prompt_token_count, merged.total_token_count) == (
        max(3, later.thoughts_token_count or 0),
        max(4, later.tool_use_prompt_token_count or 0),
        max(6, later.total_token_count or 0),
    )
    assert (merged.cached_content_token_count, merged.prompt_tokens_details, merged.service_tier) == (
        later.cached_content_token_count,
        [],
        "priority",
    )
    assert merge(UsageMetadata(), later) == later


@pytest.mark.row("T11")
@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        # thoughts that the last chunk counts as part of the answer (a recording of pydantic-ai)
        ([UsageMetadata(10, 3, 40, total_token_count=53), UsageMetadata(10, 50, total_token_count=60)], TokenCounts(10, completion=50)),
        ([UsageMetadata(10, 90, total_token_count=100), UsageMetadata(10, 50, 5, 7, total_token_count=72)],
         TokenCounts(10, tool_use=7, completion=50, thoughts=5)),
        ([UsageMetadata(20, 5, cached_content_token_count=9, total_token_count=25), UsageMetadata(10, 5, total_token_count=15)],
         TokenCounts(10, completion=5)),
        # a chunk that is not whole, or counts no output, takes nothing back
        ([UsageMetadata(10, 3, 40, total_token_count=53), UsageMetadata(10, 50, total_token_count=61)],
         TokenCounts(10, completion=50, thoughts=40)),
        ([UsageMetadata(10, 3, 40, total_token_count=53), UsageMetadata(10, total_token_count=10)],
         TokenCounts(10, completion=3, thoughts=40)),
        ([UsageMetadata(10, 3, 40), UsageMetadata(None, 50)], TokenCounts(10, completion=50, thoughts=40)),
    ],
)  # fmt: skip
def test_t11_a_last_chunk_that_is_whole_counts_alone(
    chunks: list[UsageMetadata], expected: TokenCounts
) -> None:
    total = chunks[0]
    for chunk in chunks[1:]:
        total = merge(total, chunk)

    assert token_counts(total) == expected


@pytest.mark.row("T11")
def test_t11_the_tier_of_an_earlier_chunk_stays() -> None:
    first = UsageMetadata(10, 3, total_token_count=13, service_tier="flex")

    assert merge(first, UsageMetadata(10, 5, total_token_count=15)).service_tier == "flex"


@pytest.mark.row("M4")
def test_m4_a_continued_answer_has_the_prompt_of_its_first_call() -> None:
    calls = [TokenCounts(10, 5, 1, 20, 3, searches=1), TokenCounts(33, 30, 0, 7, searches=1)]

    assert continued_counts(calls) == TokenCounts(10, 5, 1, 27, 3, searches=2)
    assert continued_counts(calls[:1]) is calls[0]


COUNT = st.one_of(st.none(), st.integers(0, 4))
USAGE = st.builds(
    UsageMetadata, COUNT, COUNT, COUNT, COUNT, COUNT, st.one_of(COUNT, st.integers(4, 12)),
    service_tier=st.sampled_from(["flex", None, None]),
)  # fmt: skip


@settings(max_examples=100)
@given(
    USAGE,
    st.lists(st.one_of(USAGE, st.just(UsageMetadata(2, 2, total_token_count=4))), min_size=1, max_size=5),
)
def test_several_chunks_are_merged_as_one_after_another(
    earlier: UsageMetadata, later: list[UsageMetadata]
) -> None:
    assert merge_all(earlier, later) == reduce(merge, later, earlier)


@pytest.mark.parametrize(
    ("details", "cached", "audio"), [("AUDIO", 30, 20), ("TEXT", 30, 0), ("AUDIO", 5, 5), ("AUDIO", None, 0)]
)
def test_cached_sound_is_counted_within_what_is_cached(details: str, cached: int | None, audio: int) -> None:
    usage = UsageMetadata(
        prompt_token_count=50,
        cached_content_token_count=cached,
        cache_tokens_details=[ModalityTokens(details, 20)],
    )

    assert token_counts(usage).cached_audio == audio
    assert token_counts(merge(usage, UsageMetadata(candidates_token_count=3))).cached_audio == audio
