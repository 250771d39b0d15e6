"""Reading a form: every cut and defect is refused, nothing is held afterwards, and all spellings of a name are one."""

import asyncio
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from gateway.errors import BadRequest, GatewayError, Overloaded, TooLarge
from gateway.exchange.incoming.multipart import MOST_PARTS, MOST_TEXT, Form, Limits, read_form
from gateway.exchange.incoming.uploaded_file import IN_MEMORY
from gateway.policy.load.memory import MemoryAccount
from tests.support.forms import BOUNDARY, Field, form, posted
from tests.support.waiting import eventually

PDF = b"%PDF\r\n--" + BOUNDARY[:-1].encode() + b"\r\n--"
"""It contains what looks like the beginning of a boundary."""
SMALL: Sequence[Field] = [("purpose", "a"), ("file", PDF, "a.pdf", "application/octet-stream")]


class Answer(Struct):
    texts: list[tuple[str, str]]
    files: list[tuple[str, str, str, bytes]]


async def read(
    *pieces: bytes,
    most: int = 2**24,
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return what a form contains. Whatever happens, it holds no memory afterwards."""
    account = MemoryAccount(2**30)
    request = posted(pieces, content_type, account, headers=headers)
    try:
        async with read_form(request, Limits(most, 30.0, Path("/tmp")), ("file", "image")) as result:
            return await _answer(result)
    finally:
        assert account.used == 0


async def _answer(result: Form) -> Answer:
    files = [(file.field, file.filename, file.mime_type, await file.read()) for file in result.files]
    spilled = sum(len(data) for *_, data in files if len(data) > IN_MEMORY)
    result._memory.give(spilled)  # what was read counts until the request ends
    return Answer(result.texts, files)


async def refusal(*pieces: bytes, **more: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await read(*pieces, **more)
    assert caught.value.status < 500, caught.value
    return caught.value


async def test_a_form_is_read_however_it_arrives() -> None:
    body = form(SMALL)
    expected = Answer([("purpose", "a")], [("file", "a.pdf", "application/pdf", PDF)])

    assert await read(body) == expected
    assert await read(*(body[i : i + 1] for i in range(len(body)))) == expected
    for cut in range(1, len(body)):
        assert await read(body[:cut], body[cut:]) == expected


async def test_others_go_on_between_the_chunks_of_a_form() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    going = asyncio.create_task(other())
    await read(form([("file", bytes(900_000), "a.wav", "audio/wav")]))
    going.cancel()

    assert turns >= 10  # of 14 chunks that are there at once


async def test_a_form_that_is_cut_anywhere_is_refused() -> None:
    body = form(SMALL)
    whole = len(body) - 2  # the last line needs no end
    for cut in range(whole):
        error = await refusal(body[:cut])
        assert (error.status, error.code) == (400, "invalid_multipart_form"), (cut, body[:cut])
    assert len((await read(body[:whole])).files) == 1


async def test_the_order_of_the_parts_does_not_matter() -> None:
    assert (await read(form(SMALL[::-1]))).texts == [("purpose", "a")]


@pytest.mark.parametrize(
    ("content_type", "part"),
    [
        ("application/json", "multipart/form-data"),
        ("text/plain", "'text/plain'"),
        ("multipart/mixed; boundary=x", "multipart/form-data"),
        ("multipart/form-data", "boundary"),
        ("multipart/form-data; boundary=", "boundary"),
        (f"multipart/form-data; boundary={'x' * 71}", "boundary"),
        ("multipart/form-data; boundary=ü", "boundary"),
    ],
)  # fmt: skip
async def test_what_is_no_form_is_told_the_content_type(content_type: str, part: str) -> None:
    error = await refusal(form(SMALL), content_type=content_type)

    assert (error.status, error.type) == (400, "invalid_request_error")
    assert part in error.message


HEAD = f"--{BOUNDARY}\r\n".encode()
NAMED = b'Content-Disposition: form-data; name="a"\r\n'
END = f"\r\n--{BOUNDARY}--\r\n".encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        HEAD + b"\r\n\r\nx" + END,
        HEAD + b"Content-Disposition: form-data\r\n\r\nx" + END,
        HEAD + b'Content-Disposition: form-data; name=""\r\n\r\nx' + END,
        HEAD + b'Content-Disposition: form-data; name="' + b"n" * 129 + b'"\r\n\r\nx' + END,
        HEAD + b'Content-Disposition: form-data; name="' + b"n" * 10_000 + b'"\r\n\r\nx' + END,
        HEAD + b'Content-Disposition: form-data; name="' + b"n" * 200_000 + b'"\r\n\r\nx' + END,
        HEAD + b'Content-Disposition: form-data; name="a[b"\r\n\r\nx' + END,
        HEAD + b'Content-Disposition: form-data; name="a\xff"\r\n\r\nx' + END,
        HEAD + b'Content-Disposition: form-data; name="a' + b"[b]" * 5 + b'"\r\n\r\nx' + END,
        HEAD + NAMED + b"No colon\r\n\r\nx" + END,
        HEAD + NAMED + b"X: y\r\n" * 20 + b"\r\nx" + END,
        HEAD + NAMED + b"Content-Type: multipart/mixed; boundary=y\r\n\r\n--y--" + END,
        HEAD + NAMED + b"Content-Transfer-Encoding: quoted-printable\r\n\r\nx" + END,
        HEAD + NAMED + b"Content-Transfer-Encoding: base64\r\n\r\nabc" + END,
        HEAD + b'Content-Disposition: form-data; name="_charset_"\r\n\r\n' + b"u" * 99 + END,
        b"\r\n" * 100 + form(SMALL),
        b"x" * 5000 + b"\r\n" + form(SMALL),
        HEAD + NAMED + b"\r\nx\r\n--" + BOUNDARY.encode() + b"y\r\n" + NAMED + END,
        HEAD + NAMED + b"\r\nx\r\n--" + BOUNDARY.encode() + b"-",
    ],
)
async def test_a_defect_is_refused_without_repeating_the_body(body: bytes) -> None:
    error = await refusal(body)

    assert error.status == 400
    assert len(error.message) < 200


async def test_text_that_is_not_utf_8_is_refused() -> None:
    error = await refusal(form([("purpose", b"\xff\xfe")]))

    assert (error.param, error.code) == ("purpose", "invalid_type")


@pytest.mark.parametrize("boundary", [BOUNDARY, "x", "----WebKitFormBoundaryd4b2a0c1e3f54a6b"])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "value"), [("_charset_", "UTF-8"), ("_Charset_", "utf8\r\n"), ("_charset_", "")]
)
async def test_a_form_may_say_that_it_is_utf_8(boundary: str, place: int, name: str, value: str) -> None:
    fields: list[Field] = [("purpose", "ä"), ("file", PDF, "ö.pdf", "application/pdf")]
    fields.insert(place, (name, value))
    content_type = f"multipart/form-data; boundary={boundary}"
    expected = Answer([("purpose", "ä")], [("file", "ö.pdf", "application/pdf", PDF)])

    assert await read(form(fields, boundary), content_type=content_type) == expected


@pytest.mark.parametrize("value", ["windows-1252", "UTF-16", "u" * 99])
async def test_another_encoding_of_a_form_is_refused_by_its_field(value: str) -> None:
    error = await refusal(form([("_charset_", value), *SMALL]))

    assert (error.status, error.param, error.code) == (400, "_charset_", "unsupported_value")
    assert "'UTF-8'" in error.message


async def test_ten_thousand_parts_are_refused_early() -> None:
    enough = await read(form([("x[]", "1")] * MOST_PARTS))
    assert len(enough.texts) == MOST_PARTS

    assert (await refusal(form([("x[]", "1")] * 10_000))).code == "too_many_parts"
    assert (await refusal(form([("file", b"1", "a")] * 10_000))).code == "too_many_parts"


async def test_a_form_over_the_limit_is_413() -> None:
    body = form(SMALL)
    assert (await read(body, most=len(body))).texts

    for headers in ({}, {"Content-Length": str(len(body))}):
        assert (await refusal(body, most=len(body) - 1, headers=headers)).status == 413
    with pytest.raises(TooLarge):
        await read(form([("prompt", "x" * (MOST_TEXT // 2 + 1))] * 2))


async def test_a_compressed_form_is_counted_by_what_it_becomes() -> None:
    # aiohttp's parser decompresses before the body is read: what arrives here are the bytes that it has become
    with pytest.raises(TooLarge):
        await read(form([("file", b"0" * 10_000, "a")]), most=5000, headers={"Content-Encoding": "gzip"})
    with pytest.raises(BadRequest) as caught:
        await read(gzip.compress(b"x"), headers={"Content-Encoding": "br"})
    assert caught.value.status == 415


async def test_a_large_file_goes_to_disk_and_holds_no_memory() -> None:
    data = bytes(range(256)) * 4096 * 3  # 3 MiB
    account = MemoryAccount(2**20 * 4)
    body = form([("file", data, "a.bin"), ("purpose", "x")])
    request = posted([body[i : i + 100_000] for i in range(0, len(body), 100_000)], account=account)

    async with read_form(request, Limits(2**24, 30.0, Path("/tmp")), ("file",)) as result:
        file = result.file("file")
        assert not file.in_memory
        assert account.used < 100
        assert b"".join([piece async for piece in file.pieces()]) == data
        assert file.size == len(data)
        assert await file.read() == data
        assert account.used >= len(data)


async def test_every_byte_that_is_held_is_counted() -> None:
    account = MemoryAccount(2**30)
    request = posted([form([("file", b"x" * IN_MEMORY, "a"), ("purpose", "y" * 100)])], account=account)

    async with read_form(request, Limits(2**24, 30.0, Path("/tmp")), ("file",)):
        assert account.used >= IN_MEMORY + 100
    assert account.used == 0


async def test_a_form_is_refused_while_memory_is_in_use() -> None:
    account = MemoryAccount(2**20)
    other = account.open()
    other.owner = "other"
    other.take(2**20 * 7 // 10)
    request = posted([form([("file", b"x" * IN_MEMORY, "a")])], account=account)

    with pytest.raises(Overloaded):
        async with read_form(request, Limits(2**24, 30.0, Path("/tmp")), ("file",)):
            pass
    assert account.used == other.size


async def test_a_client_that_leaves_leaves_nothing(tmp_path: Path) -> None:
    account = MemoryAccount(2**30)
    request = posted([form([("file", b"x" * 2**21, "a")])[: 2**21]], account=account, ends=False)

    async def upload() -> None:
        async with read_form(request, Limits(2**24, 30.0, tmp_path), ("file",)):
            raise AssertionError

    task = asyncio.create_task(upload())
    # a temporary file holds most of it
    await eventually(lambda: account.given_back >= IN_MEMORY and account.used > 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert account.used == 0
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_arrives_too_slowly_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(0, 100_000, 40))
    monkeypatch.setattr("gateway.exchange.incoming.multipart.monotonic", lambda: next(times))
    monkeypatch.setattr("gateway.exchange.incoming.request_body.monotonic", lambda: next(times))

    assert (await refusal(form(SMALL))).status == 408


class Options(Struct):
    model: str = ""
    n: int = 1
    temperature: float | None = None
    stream: bool = False
    include: list[str] = []
    anchor: dict[str, str] = {}


decode = msgspec.json.Decoder(Options, strict=False).decode


async def body_of(fields: Sequence[Field]) -> Options:
    async with read_form(posted([form(fields)]), Limits(2**20, 30.0, Path("/tmp")), ()) as result:
        return result.body(("include",)).decode(decode)


@pytest.mark.parametrize("spelling", ["include", "include[]", "include[0]"])
async def test_the_spellings_of_a_name_are_one(spelling: str) -> None:
    assert (await body_of([(spelling, "a")])).include == ["a"]
    assert (await body_of([(spelling, "a"), ("include[]", "b"), ("include", "c")])).include == ["a", "b", "c"]


async def test_values_are_read_as_json_would_be() -> None:
    fields: Sequence[Field] = [
        ("model[]", "1"), ("n", "3"), ("temperature", "0.5"), ("stream", "true"), ("anchor[k]", "v"),
    ]  # fmt: skip

    assert await body_of(fields) == Options("1", 3, 0.5, True, [], {"k": "v"})
    assert await body_of([("temperature", "null"), ("stream", "false")]) == Options()


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ([("n", "x")], "n", "invalid_type"),
        ([("stream", "yes")], "stream", "invalid_type"),
        ([("n", "1"), ("n", "2")], "n", "duplicate_parameter"),
        ([("n", "1"), ("n[]", "2")], "n", "duplicate_parameter"),
        ([("n", "1"), ("n[k]", "2")], "n", "duplicate_parameter"),
        ([("anchor[k]", "1"), ("anchor[k]", "2")], "anchor", "duplicate_parameter"),
        ([("anchor[k]", "1"), ("anchor[k][l]", "2")], "anchor", "duplicate_parameter"),
        ([("include[k]", "1"), ("include", "2")], "include", "duplicate_parameter"),
    ],
)
async def test_a_value_that_cannot_be_used_names_its_field(
    fields: list[Field], param: str, code: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        await body_of(fields)

    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a.pdf", "a.pdf"),
        ("", "upload"),
        ("../../etc/passwd", "passwd"),
        ("C:\\\\x\\\\a.txt", "a.txt"),
        ("..", "upload"),
        ('ü %22x%22.txt', 'ü "x".txt'),
        ('ü \\"x\\".txt', 'ü "x".txt'),
        ("a\tb", "ab"),
        ("n" * 300, "n" * 255),
    ],
)  # fmt: skip
async def test_a_file_has_a_name_that_is_none_of_a_path(sent: str, kept: str) -> None:
    (file,) = (await read(form([("file", b"x", sent, "text/plain")]))).files

    assert file[1] == kept


async def test_several_files_of_one_field_keep_their_order() -> None:
    fields: Sequence[Field] = [("image[]", b"1", "a.png"), ("image[]", b"2", "b.png"), ("image", b"3")]

    assert [name for _, name, *_ in (await read(form(fields))).files] == ["a.png", "b.png", "upload"]


async def test_a_missing_or_repeated_file_is_named() -> None:
    async with read_form(posted([form(SMALL)]), Limits(2**20, 30.0, Path("/tmp")), ("file",)) as result:
        with pytest.raises(BadRequest) as caught:
            result.file("image")
    assert (caught.value.param, caught.value.code) == ("image", "missing_required_parameter")
    request = posted([form([*SMALL, *SMALL])])
    async with read_form(request, Limits(2**20, 30.0, Path("/tmp")), ("file",)) as result:
        with pytest.raises(BadRequest):
            result.file("file")


async def test_base64_of_a_part_is_decoded() -> None:
    part = b'Content-Disposition: form-data; name="file"\r\nContent-Transfer-Encoding: base64\r\n\r\n'

    assert (await read(HEAD + part + b"aGVsbG8gd29ybGQ=" + END)).files[0][3] == b"hello world"
