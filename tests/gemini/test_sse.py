"""Framing: every spelling of a stream, whole, byte by byte and cut anywhere, gives the same payloads."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.gemini.sse import SSEDecoder, comment, frame

A, B = b'{"a":"\xf0\x9f\x98\x80"}', b'{"b":2}'

STREAMS: dict[str, tuple[bytes, list[bytes]]] = {
    "crlf, as Google sends": (b"data: " + A + b"\r\n\r\ndata: " + B + b"\r\n\r\n", [A, B]),
    "lf": (b"data: " + A + b"\n\ndata: " + B + b"\n\n", [A, B]),
    "cr": (b"data: " + A + b"\r\rdata: " + B + b"\r\r", [A, B]),
    "mixed line ends": (b"data: " + A + b"\n\r\ndata: " + B + b"\r\n\n", [A, B]),
    "a byte order mark": (b"\xef\xbb\xbfdata: " + A + b"\n\n", [A]),
    "comments and other fields": (b": hi\n\nevent: x\nid: 1\ndata: " + A + b"\nretry: 5\n\n", [A]),
    "no space after the colon": (b"data:" + A + b"\n\n", [A]),
    "data over two lines": (b'data: {"a":\ndata: 1}\n\n', [b'{"a":\n1}']),
    "data over two lines with CRLF": (b'data: {"a":\r\ndata: 1}\r\n\r\n', [b'{"a":\n1}']),
    "data over two lines, the first with LF": (b'data: {"a":\ndata: 1}\r\n\r\n', [b'{"a":\n1}']),
    "an LF in the second event": (
        b"data: " + A + b'\r\n\r\ndata: {"a":\ndata: 1}\r\n\r\n',
        [A, b'{"a":\n1}'],
    ),
    "a CR in the second event": (b"data: " + A + b'\r\n\r\ndata: {"a":\rdata: 1}\r\n\r\n', [A, b'{"a":\n1}']),
    "a comment with CRLF": (b": a comment\r\n\r\n", []),
    "no last blank line": (b"data: " + A + b"\n\ndata: " + B, [A, B]),
    "no last line end of a CR": (b"data: " + A + b"\r", [A]),
    "blank lines between": (b"\n\n\ndata: " + A + b"\n\n\n\n", [A]),
    "bare JSON amid events": (b"data: " + A + b"\n\n" + B + b"\n\n", [A, B]),
    "pretty-printed bare JSON amid events": (b"data: " + A + b'\n\n{\n "b": 2\n}\n\n', [A, b'{\n "b": 2\n}']),
    "a JSON array": (b"[" + A + b",\r\n" + B + b"]", [A, B]),
    "a JSON array after blanks": (b"\n [" + A + b"]\n", [A]),
    "a JSON object": (A, [A]),
    "a broken JSON array": (b"[" + A, [b"[" + A]),
    "nothing": (b"", []),
    "only a part of the mark": (b"\xef\xbb", []),
}


def read(stream: bytes, cuts: list[int]) -> list[bytes]:
    decoder = SSEDecoder()
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    payloads = [p for a, b in pairwise(edges) for p in decoder.feed(stream[a:b])]
    return payloads + decoder.close()


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_gives_its_payloads_whole_and_byte_by_byte(name: str) -> None:
    stream, payloads = STREAMS[name]

    assert payloads == read(stream, [])
    assert payloads == read(stream, list(range(len(stream))))


@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 1000), max_size=8))
def test_cuts_anywhere_change_nothing(name: str, cuts: list[int]) -> None:
    stream, payloads = STREAMS[name]

    assert payloads == read(stream, cuts)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_any_bytes_are_read_alike_for_every_cut(stream: bytes, cuts: list[int]) -> None:
    assert read(stream, []) == read(stream, cuts)


def test_an_event_is_given_as_soon_as_its_blank_line_is_in() -> None:
    decoder = SSEDecoder()

    assert decoder.feed(b"data: " + A + b"\r\n\r\nda") == [A]
    assert decoder.feed(b"ta: " + B + b"\r\n\r\n") == [B]


def test_three_megabytes_in_one_line_pass() -> None:
    image = b'{"data":"' + b"A" * 3_000_000 + b'"}'

    assert read(b"data: " + image + b"\r\n\r\n", list(range(0, 3_000_000, 65536))) == [image]


@pytest.mark.parametrize("start", [b"data: ", b"data: a\ndata: b\ndata: ", b"["])
def test_an_event_without_end_is_cut(start: bytes) -> None:
    limit = 2**20
    stream = start + b"1" * (limit + 1) + b"\n"
    decoder = SSEDecoder(limit)
    decoder.feed(stream[:limit])

    with pytest.raises(UpstreamError, match="one event of more than 1 MiB"):
        decoder.feed(stream[limit:])


def test_frames_are_parsed_by_clients() -> None:
    assert frame(b"{}") == b"data: {}\n\n"
    assert frame(b"{}", "ping") == b"event: ping\ndata: {}\n\n"
    assert comment("keep-alive") == b": keep-alive\n\n"


@pytest.mark.row("A4")
@pytest.mark.parametrize("line", [b"data:\n", b"data: \r\n", b"{\n"])
def test_a04_an_event_of_lines_without_text_is_cut(line: bytes) -> None:
    """Only the text was counted, so that such an event took memory without end, and each read walked through all lines."""
    decoder = SSEDecoder(2**20)
    decoder.feed(b"data: {}\n\n")
    decoder.feed(line * ((2**20 - 100) // len(line)))
    with pytest.raises(UpstreamError, match="one event of more than 1 MiB"):
        decoder.feed(line * 200_000)


@pytest.mark.row("A4")
def test_a04_blanks_before_a_stream_are_not_kept() -> None:
    decoder = SSEDecoder()
    for _ in range(100):
        decoder.feed(b" \n\r\n" * 1000)

    assert decoder.waiting < 100
    assert decoder.feed(b"data: {}\n\n") == [b"{}"]


@pytest.mark.row("U21")
def test_u21_the_small_pieces_of_a_large_event_are_joined_to_blocks() -> None:
    decoder, pieces = SSEDecoder(), [b"%06d" % i for i in range(5000)]
    assert decoder.feed(b"data: ") == []
    assert [decoder.feed(piece) for piece in pieces] == [[]] * 5000
    assert len(decoder._pieces) <= 5000 // 64 + 64
    assert decoder.feed(b"\n\n") == [b"".join(pieces)]
