"""URLs that may be fetched by their spelling, and addresses that are public."""

import ipaddress
import re
from collections.abc import Iterator

import pytest
from yarl import URL

from gateway.policy.ssrf import behind_nat64, check_url, is_public
from tests.support.media_spellings import NOT_PUBLIC, spellings

BOTH = ("https", "http")
SPELT = list(spellings())


def test_there_are_more_than_five_hundred_spellings() -> None:
    assert len(set(SPELT)) > 500


@pytest.mark.row("S22", "S24", "S33", "C29")
def test_no_spelling_of_a_private_place_passes() -> None:
    assert [url for url in SPELT if passes(url)] == []


def passes(url: str) -> bool:
    try:
        check_url(url, BOTH)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    "url",
    ["https://example.com/x.png", "http://example.com/", "https://example.com/a?b=c", "https://8.8.8.8/x.png",
     "https://[2606:4700:4700::1111]/", "https://a.b-c.example./x", "https://x_y.example/"],
)  # fmt: skip
def test_public_urls_pass_unchanged(url: str) -> None:
    assert str(check_url(url, BOTH)) == url


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://EXAMPLE.com:443/", "https://example.com/"),
        ("https://bücher.example/x", "https://xn--bcher-kva.example/x"),
    ],
)
def test_other_spellings_of_a_public_host_pass(url: str, normal: str) -> None:
    assert str(check_url(url, BOTH)) == str(URL(normal))


NOT_PUBLIC_NAME, NOT_PUBLIC_ADDRESS = "the host name is not public", "the address is not public"
PORT, USER = (
    "the URL must not name a port other than the default of its scheme",
    "the URL must not contain a user name or password",
)
CHARACTERS, INVALID, HTTPS = (
    "the URL contains invalid characters",
    "not a valid URL",
    "the URL must begin with https://",
)
LONG_NAME = ".".join(["a" * 49] * 5) + ".abc"  # 253 characters


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.com/", HTTPS), ("http://example.com/", HTTPS), ("file:///etc/passwd", HTTPS),
        ("//example.com", HTTPS), ("x", HTTPS),
        ("https://user@example.com/", USER), ("https://a:b@example.com/", USER), ("https://:b@example.com/", USER),
        ("https://:@example.com/", USER),
        ("https://example.com:8080/", PORT), ("https://example.com:80/", PORT),
        ("https://exa%6dple.com/", "the host name is invalid"),
        ("https://example.com/\r\nx: y", CHARACTERS), ("https://exa mple.com/", CHARACTERS),
        ("https://example.com/\x7f", CHARACTERS), ("https://example.com\\@evil.example/", CHARACTERS),
        ("https://localhost/", NOT_PUBLIC_NAME), ("https://router/", NOT_PUBLIC_NAME), ("https://a.localhost/", NOT_PUBLIC_NAME),
        ("https://db.internal/", NOT_PUBLIC_NAME), ("https://a.b.internal./", NOT_PUBLIC_NAME),
        ("https://-a.example/", NOT_PUBLIC_NAME), ("https://a.example../", NOT_PUBLIC_NAME),
        ("https://" + "a" * 64 + ".example/", NOT_PUBLIC_NAME), (f"https://a{LONG_NAME}/", NOT_PUBLIC_NAME),
        ("https://127.0.0.1/", NOT_PUBLIC_ADDRESS), ("https://127.1./", NOT_PUBLIC_ADDRESS), ("https://[::1]/", NOT_PUBLIC_ADDRESS),
        ("https://0x7f000001/", NOT_PUBLIC_ADDRESS), ("https://1.2.3.4.5/", NOT_PUBLIC_ADDRESS),
        ("https://[::1/", INVALID), ("https://example.com:99999/", INVALID), ("https:///x", NOT_PUBLIC_NAME), ("https://", NOT_PUBLIC_NAME),
        ("https://example.com/" + "a" * 2029, "the URL is longer than 2048 characters"),
    ],
)  # fmt: skip
def test_other_urls_are_refused_with_a_reason(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        check_url(url, ("https",))


def test_the_reason_names_each_scheme() -> None:
    with pytest.raises(ValueError, match=r"^the URL must begin with https:// or http://$"):
        check_url("ftp://example.com/", BOTH)


@pytest.mark.parametrize(
    "url",
    ["https://example.com/" + "a" * 2028, "https://example.com/!", f"https://{LONG_NAME}/", "https://local.example/",
     "https://a.local.example/", "https://example.com/\u0080"],
)  # fmt: skip
def test_urls_at_the_bounds_pass(url: str) -> None:
    assert passes(url)


def special() -> Iterator[str]:
    yield from NOT_PUBLIC
    for network in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "100.64.0.0/10",
    ):
        block = ipaddress.ip_network(network)
        yield from (str(block[0]), str(block[-1]), str(block[block.num_addresses // 2]))


@pytest.mark.row("S22", "S76")
@pytest.mark.parametrize("address", sorted(set(special())))
def test_an_address_that_is_not_public(address: str) -> None:
    assert not is_public(address)
    if "." in address and ":" not in address:
        assert not is_public(f"::ffff:{address}")


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8"]
)
def test_an_address_that_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("address", "meant"),
    [("64:ff9b::808:808", "8.8.8.8"), ("64:ff9b::7f00:1", "127.0.0.1"), ("64:ff9c::1", "64:ff9c::1"), ("8.8.8.8", "8.8.8.8")],
)  # fmt: skip
def test_the_address_behind_nat64(address: str, meant: str) -> None:
    assert behind_nat64(address) == meant
