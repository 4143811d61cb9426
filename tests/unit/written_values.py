"""What one write(2) to a sysctl does: the rows that the law and the kernel are held against.

``taken`` makes a row of which all bytes count, ``short`` one of which fewer do,
``refused`` one that changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

RANGE = "net.ipv4.ip_local_port_range"
RESERVED = "net.ipv4.ip_local_reserved_ports"
START = "net.ipv4.ip_unprivileged_port_start"
TW_REUSE = "net.ipv4.tcp_tw_reuse"
TW_BUCKETS = "net.ipv4.tcp_max_tw_buckets"
FIN_TIMEOUT = "net.ipv4.tcp_fin_timeout"

NEW = {
    RANGE: "32768 60999",
    RESERVED: "",
    START: "1024",
    TW_REUSE: "2",
    TW_BUCKETS: "1000",
    FIN_TIMEOUT: "60",
}
"""What the sysctls hold before a row, if it does not say otherwise."""

LIST = ",".join(map(str, range(1_024, 11_024, 2))).encode()
"""5,000 lone ports: 25,511 bytes."""

LONG_LIST = ",".join(map(str, range(1_024, 20_000, 2))).encode() + b"\n"
"""9,488 lone ports: 52,440 bytes."""

FIRST_PORTS = ",".join(map(str, range(1_024, 2_660, 2)))
"""818 ports, which is what one write takes of either list: 4,090 bytes with the commas."""

ODD_PORTS = ",".join(map(str, range(1, 65_536, 2))).encode()
"""The longest list that nothing can shorten: 32,768 lone ports."""


class Row(NamedTuple):
    """
    One write: the bytes, and what is true afterwards.

    Args:
        key: The sysctl.
        data: What is passed to write(2).
        value: What the sysctl holds afterwards, canonical.
        consumed_bytes: What write(2) returns.
        refusal: The name of the errno, or "".
        before: What sysctls hold before, where not as in NEW.
        name: What the row is called where its bytes are too long for that.
    """

    key: str
    data: bytes
    value: str
    consumed_bytes: int
    refusal: str = ""
    before: tuple[tuple[str, str], ...] = ()
    name: str = ""

    @property
    def id(self) -> str:
        """Return the short key, the bytes and what was before, in ASCII."""
        before = "".join(f", {_last(key)} {value}" for key, value in self.before)
        return f"{_last(self.key)} {self.name or repr(self.data)[1:]}{before}"

    @property
    def state(self) -> dict[str, str]:
        """Return what the sysctls hold before."""
        return {**NEW, **dict(self.before)}


def taken(key: str, data: bytes, value: str, name: str = "", **before: str) -> Row:
    """Return a row that the kernel takes with all its bytes."""
    return Row(key, data, value, len(data), "", _before(before), name)


def short(key: str, data: bytes, value: str, consumed: int, name: str = "", **before: str) -> Row:
    """Return a row of which the kernel takes *consumed* bytes."""
    return Row(key, data, value, consumed, "", _before(before), name)


def refused(key: str, data: bytes, name: str = "", errno: str = "EINVAL", **before: str) -> Row:
    """Return a row that the kernel refuses, so that the value before stays."""
    held = {**NEW, **dict(_before(before))}
    return Row(key, data, held[key], 0, errno, _before(before), name)


def _last(key: str) -> str:
    """Return the last part of a key."""
    return key.rpartition(".")[2]


def _before(words: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return values by key: ``ephemeral`` is the range, ``reserved`` and ``start`` themselves."""
    keys = {"ephemeral": RANGE, "reserved": RESERVED, "start": START}
    return tuple((keys[word], value) for word, value in words.items())


RANGE_TAKEN = (
    taken(RANGE, b"15000 64000", "15000 64000"),
    taken(RANGE, b"15000 64000\n", "15000 64000"),
    taken(RANGE, b"15000   64000", "15000 64000"),
    taken(RANGE, b"15000\t64000", "15000 64000"),
    taken(RANGE, b"15000\n64000", "15000 64000"),
    taken(RANGE, b" \t\n15000 \t\n 64000 \t\n", "15000 64000"),
    taken(RANGE, b"15000 \r64000 \v\f\r\n", "15000 64000"),
    taken(RANGE, b"\xa015000 \xa064000 \xa0", "15000 64000", "blanks of Latin-1"),
    taken(RANGE, b"20000 30000", "20000 30000"),
    taken(RANGE, b"5000 5000", "5000 5000"),
    taken(RANGE, b"15000 15000", "15000 15000"),
    taken(RANGE, b"65535 65535", "65535 65535"),
    taken(RANGE, b"1024 65535", "1024 65535"),
    taken(RANGE, b"1 60000", "1 60000", start="0"),
    taken(RANGE, b"80 65535", "80 65535", start="80"),
)

RANGE_ODD = (
    taken(RANGE, b"", "32768 60999"),
    taken(RANGE, b"15000", "15000 60999"),
    taken(RANGE, b"15000\n", "15000 60999"),
    taken(RANGE, b"40000", "40000 64000", ephemeral="20000 64000"),
    taken(RANGE, b"015000 064000", "6656 26624"),
    taken(RANGE, b"040000 050000", "16384 20480"),
    taken(RANGE, b"0x3a98 0xfa00", "15000 64000"),
    taken(RANGE, b"0X8000 0xFfFf", "32768 65535"),
    short(RANGE, b"15000 64000 5", "15000 64000", 12),
    short(RANGE, b"15000 64000 junk", "15000 64000", 12),
    short(RANGE, b"15000 64000 # c", "15000 64000", 12),
    short(RANGE, b"15000 64000 \0", "15000 64000", 12),
    short(RANGE, b"15000 64000\n20000 50000\n", "15000 64000", 12),
    short(RANGE, b"40000 50000 60000", "40000 50000", 12),
    taken(RANGE, b"15000" + b" " * 4_000 + b"64000", "15000 64000", "4,000 blanks between"),
    taken(RANGE, b"15000" + b" " * 4_085 + b"64000", "15000 64000", "all of the page"),
    refused(RANGE, b"15000" + b" " * 4_086 + b"64000", "one byte over the page: 15000 6400"),
    taken(RANGE, b"15000" + b" " * 5_000 + b"64000", "15000 60999", "5,000 blanks between"),
    taken(RANGE, b"15000 64000" + b" " * 5_000 + b"junk", "15000 64000", "junk after the page"),
    taken(RANGE, b"0" * 15 + b"40000 60000", "16384 60000", "20 bytes with leading zeros"),
    refused(RANGE, b"0" * 16 + b"40000 60000", "21 bytes with leading zeros"),
    refused(RANGE, b"0" * 20 + b"15000 60000", "25 bytes with leading zeros"),
    refused(RANGE, b"1 2".ljust(1 << 22), "4 MiB", "ENOMEM"),
)

RANGE_REFUSED = (
    *(
        refused(RANGE, data)
        for data in (
            b" ",
            b"\n",
            b" \t\n\v\f\r\xa0",
            b"15000 64000junk",
            b"15000 64000;",
            b'"15000 64000"',
            b"'15000 64000'",
            b"15000,64000",
            b"15000, 64000",
            b"15000-64000",
            b"40000-50000",
            b"15000:64000",
            b"15000 64000\r",
            b"15000 64000\r\n",
            b"15000\r64000",
            b"15000 64000\v",
            b"15000\x0064000",
            b"15000 64000\0",
            b"\xef\xbb\xbf15000 64000",
            b"15000\xc2\xa064000",
            b"15000\xa064000",
            "１５０００ ６４０００".encode(),
            b"+15000 +64000",
            b"+4000 +5000",
            b"15e3 64e3",
            b"15000.0 64000.0",
            b"32768.5 60999",
            b"15_000 64_000",
            b"\x1b[31m15000 64000",
            b"%n %n",
            b"$(id) 64000",
            b"abc",
            b"40000 x",
            b"40000x 50000",
            b"0x 50000",
            b"032768 060999",
            b"64000 15000",
            b"30000 20000",
            b"0 0",
            b"0 100",
            b"0 65535",
            b"1 65535",
            b"1023 65535",
            b"-1 5",
            b"-1 64000",
            b"- 64000",
            b"-",
            b"15000 -64000",
            b"61000",
            b"2000 70000",
            b"1024 65536",
            b"15000 65536",
            b"15000 99999",
            b"99999999999 5",
            b"15000 4294967296",
            b"4294982296 64000",
            b"15000 18446744073709551616",
            b"15000 18446744073709615616",
        )
    ),
    refused(RANGE, b"79 65535", start="80"),
    refused(RANGE, b"0 60000", start="0"),
)

RESERVED_TAKEN = (
    taken(RESERVED, b"8080,9000-9100", "8080,9000-9100"),
    taken(RESERVED, b"8080,9000-9100\n", "8080,9000-9100"),
    taken(RESERVED, b"8080,8080", "8080"),
    taken(RESERVED, b"8080-8080", "8080"),
    taken(RESERVED, b"1,2-4,10-10", "1-4,10"),
    taken(RESERVED, b"8080,9000-9100,9050-9200", "8080,9000-9200"),
    taken(RESERVED, b"30,20,10", "10,20,30"),
    taken(RESERVED, b"0", "0"),
    taken(RESERVED, b"0-65535", "0-65535"),
    taken(RESERVED, b"1-65535", "1-65535"),
    taken(RESERVED, b"9000", "9000", reserved="8080"),
)

RESERVED_ODD = (
    taken(RESERVED, b"", "8080", reserved="8080"),
    taken(RESERVED, b"\n", "", reserved="8080"),
    taken(RESERVED, b"\n\n\n", "", reserved="8080"),
    taken(RESERVED, b"8080,", "8080"),
    taken(RESERVED, b"8080\n9090", "8080,9090"),
    taken(RESERVED, b"\n8080\n\n9090\n", "8080,9090"),
    taken(RESERVED, b"1-5\x007", "1-5,7"),
    taken(RESERVED, b"0x1f90", "8080"),
    taken(RESERVED, b"0x10", "16"),
    taken(RESERVED, b"017", "15"),
    short(RESERVED, LIST, FIRST_PORTS, 4_090, "25,511 bytes"),
    short(RESERVED, LONG_LIST, FIRST_PORTS, 4_090, "52,440 bytes"),
    short(RESERVED, b"\n" * 4_089 + b"8080,9090", "8080", 4_094, "cut in the second port"),
    short(RESERVED, b"\n" * 4_090 + b"8080,9090", "", 4_090, "cut at the comma", reserved="7000"),
    refused(RESERVED, b"\n" * (1 << 22), "4 MiB", "ENOMEM", reserved="8080"),
)

RESERVED_REFUSED = tuple(
    refused(RESERVED, data, reserved="7000")
    for data in (
        b" ",
        b" 8080",
        b"8080 ",
        b"9100-9000",
        b"5-4",
        b"65536",
        b"-1",
        b"-5",
        b"-0",
        b"8080 9090",
        b"1 2",
        b"8080, 9090",
        b"1, 2",
        b",",
        b",,",
        b"1,,2",
        b"8080;9090",
        b"8080;",
        b"8080-",
        b"4000-",
        b"8080-\n",
        b"-9000",
        b"08080",
        b"7000,70000",
        b"1-2-3",
        b"1\x002",
        b"8080\r\n",
        b"abc",
        b"8080,abc",
        b"18446744073709551616",
    )
)

START_ROWS = (
    taken(START, b"0", "0"),
    taken(START, b"80\n", "80"),
    taken(START, b"32768", "32768"),
    taken(START, b"2000", "2000", ephemeral="2000 3000"),
    taken(START, b"-0", "0"),
    taken(START, b"0120", "80"),
    short(START, b"80 443", "80", 3),
    refused(START, b"32769"),
    refused(START, b"65536"),
    refused(START, b"-1"),
    refused(START, b" "),
    refused(START, b"2001", ephemeral="2000 3000"),
    refused(START, b"65535", ephemeral="2000 3000"),
    refused(START, b"65536", ephemeral="2000 3000"),
    refused(START, b"1024", start="80", ephemeral="80 65535"),
)

NUMBER_ROWS = (
    taken(TW_REUSE, b"1\n", "1"),
    taken(TW_REUSE, b"1 junk", "1"),
    taken(TW_REUSE, b"1".ljust(5_000) + b"junk", "1", "junk after the page"),
    refused(TW_REUSE, b"3"),
    refused(TW_REUSE, b"-0"),
    refused(TW_REUSE, b"1junk"),
    refused(TW_REUSE, b"\n"),
    taken(TW_BUCKETS, b"2147483647", "2147483647"),
    taken(TW_BUCKETS, b"-2147483648", "-2147483648"),
    short(TW_BUCKETS, b"1 junk", "1", 2),
    short(TW_BUCKETS, b"1 junk".ljust(5_000), "1", 907, "1 junk and blanks over the page"),
    refused(TW_BUCKETS, b"2147483648"),
    refused(TW_BUCKETS, b"-2147483649"),
    refused(TW_BUCKETS, b"4294967295"),
    taken(FIN_TIMEOUT, b"30", "30"),
    taken(FIN_TIMEOUT, b"-1", "-1"),
    # At 1,000 ticks a second 2,147,483 s fit into an int, at 100 ticks 21,474,836 s.
    taken(FIN_TIMEOUT, b"2147483", "2147483"),
    refused(FIN_TIMEOUT, b"21474837"),
    refused(FIN_TIMEOUT, b"-21474837"),
)

ROWS = (
    *RANGE_TAKEN,
    *RANGE_ODD,
    *RANGE_REFUSED,
    *RESERVED_TAKEN,
    *RESERVED_ODD,
    *RESERVED_REFUSED,
    *START_ROWS,
    *NUMBER_ROWS,
)
"""All rows of one write."""

WHOLE_ROWS = (
    taken(RANGE, b"15000 64000 junk", "15000 64000"),
    taken(RANGE, b"15000 64000\n20000 50000\n", "15000 64000"),
    taken(RANGE, b"", "32768 60999"),
    taken(TW_REUSE, b"1 junk", "1"),
    taken(TW_BUCKETS, b"1 junk", "1"),
    taken(RESERVED, b"8080", "8080", reserved="7000"),
    taken(RESERVED, LIST, LIST.decode(), "25,511 bytes", reserved="7"),
    taken(RESERVED, LONG_LIST, LONG_LIST.decode().strip(), "52,440 bytes"),
    taken(RESERVED, ODD_PORTS, ODD_PORTS.decode(), "32,768 lone ports"),
    taken(RESERVED, b"\n" * 4_090 + b"8080,9090", "8080,9090", "cut at the comma"),
    taken(RESERVED, b"\n" * 4_089 + b"8080-9090", "8080-9090", "cut in a run"),
    # Six writes are taken; the seventh has the junk and is refused as one.
    Row(RESERVED, LIST + b",x", LIST[:24_539].decode(), 24_540, "EINVAL", (), "junk at the end"),
    refused(RESERVED, b"8080,x", reserved="7000"),
    refused(RANGE, b"80 65535"),
)
"""Rows of a writer that goes on after a short count, on the same descriptor."""

PARTS = (
    (RESERVED, (b"2000,30", b"00,4000"), "0,30,2000,4000"),
    (RESERVED, (b"2000", b"\n", b"3000"), "2000,3000"),
    (RANGE, (b"20000 30000", b"40000 50000", b"junk"), "20000 30000"),
    (START, (b"80", b"90"), "80"),
)
"""Writes one after the other on one descriptor, and the value at the end."""
