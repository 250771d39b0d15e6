"""URLs that may be fetched by their spelling, and addresses that are public."""

import ipaddress
from collections.abc import Iterator

import pytest
from yarl import URL

from gateway.policy.ssrf import check_url, is_public
from tests.support.media_spellings import NOT_PUBLIC, spellings

BOTH = ("https", "http")
SPELT = list(spellings())


def test_there_are_more_than_five_hundred_spellings() -> None:
    assert len(set(SPELT)) > 500


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


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.com/", "begin with"), ("http://example.com/", "begin with https://"), ("file:///etc/passwd", "begin"),
        ("https://user@example.com/", "user name"), ("https://a:b@example.com/", "user name"),
        ("https://example.com:8080/", "port"), ("https://example.com:80/", "port"), ("https://exa%6dple.com/", "host"),
        ("https://example.com/\r\nx: y", "characters"), ("https://exa mple.com/", "characters"),
        ("https://example.com\\@evil.example/", "characters"), ("https://localhost/", "host name is not public"),
        ("https://a.localhost/", "host name is not public"), ("https://db.internal/", "host name is not public"), ("https://-a.example/", "host name is not public"),
        ("https:///x", "host"), ("https://", "host"), ("//example.com", "begin"), ("x", "begin"),
        ("https://" + "a" * 3000, "longer"), ("https://[::1/", "not a valid URL"), ("https://example.com:99999/", "not a valid URL"),
        ("https://" + "a" * 64 + ".example/", "host name is not public"), ("https://\u2488.example/", "host name is not public"),
    ],
)  # fmt: skip
def test_other_urls_are_refused_with_a_reason(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_url(url, ("https",))


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
