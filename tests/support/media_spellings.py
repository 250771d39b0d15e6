"""Spellings of addresses that are not public, for the tests of SSRF protection."""

import ipaddress
from collections.abc import Iterator

NOT_PUBLIC = (
    "127.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.100.100.200", "192.0.0.9",
    "192.88.99.1", "224.0.0.1", "239.1.1.1", "255.255.255.255", "168.63.129.16", "100.64.0.1", "198.18.0.1",
    "::1", "::", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "fec0::1",
    "ff02::1", "3fff::1", "5f00::1", "2001:20::1", "fd00:ec2::254", "fe80::1", "fc00::1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
)  # fmt: skip
_CIRCLED = "⓪①②③④⑤⑥⑦⑧⑨"
_WIDE = "０１２３４５６７８９"


def _of_four(address: str) -> Iterator[str]:
    """What inet_aton, or a normalising parser, takes for an IPv4 address."""
    numbers = [int(part) for part in address.split(".")]
    a, b, c, d = numbers
    whole = int(ipaddress.IPv4Address(address))
    yield from (
        address,
        address + ".",
        str(whole),
        hex(whole),
        f"0{whole:o}",
        f"{a}.{(b << 16) + (c << 8) + d}",
    )
    yield from (f"{a}.{b}.{(c << 8) + d}", ".".join(map(hex, numbers)), ".".join(f"0{n:o}" for n in numbers))
    yield from (".".join(f"{n:04}" for n in numbers), f"{a:#x}.{b}.{c}.{d}", f"0x{whole:08X}")
    yield from (f"[::ffff:{address}]", f"[::{address}]", f"[64:ff9b::{address}]", f"[::ffff:{address}%25lo]")
    yield from (
        "".join(digits[int(ch)] if ch.isdigit() else ch for ch in address) for digits in (_CIRCLED, _WIDE)
    )
    yield address.replace(".", "。")


def hosts() -> Iterator[str]:
    """Every spelling of every address."""
    for address in NOT_PUBLIC:
        if ":" in address:
            yield from (
                f"[{address}]",
                f"[{ipaddress.IPv6Address(address).exploded}]",
                f"[{address.upper()}]",
            )
        else:
            yield from _of_four(address)
    yield from (
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "router.local",
        "db.internal",
        "printer.lan",
    )


def spellings() -> Iterator[str]:
    """As URLs, both schemes."""
    for host in hosts():
        for scheme in ("http", "https"):
            yield f"{scheme}://{host}/latest/meta-data/"
