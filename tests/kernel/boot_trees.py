r"""Trees of sysctl files, drawn from the rules by which boot programs differ.

Rules of this file:

- each assignment that is drawn has a value of its own, so that the value which
  the kernel holds afterwards tells the line that it came from;
- nothing that makes a real program wait for ever is drawn (FIFO, /dev/zero).
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from typing import NamedTuple

import hypothesis
from hypothesis import strategies

from portroom.model.facts.sysctl_files import DIRECTORIES
from tests.kernel.boot_host import DEFAULTS, Host

RANGE = "net.ipv4.ip_local_port_range"
RESERVED = "net.ipv4.ip_local_reserved_ports"
START = "net.ipv4.ip_unprivileged_port_start"
REUSE = "net.ipv4.tcp_tw_reuse"
TIMEOUT = "net.ipv4.tcp_fin_timeout"


SPECIAL = {"FIFO": stat.S_IFIFO, "socket": stat.S_IFSOCK, "device": stat.S_IFCHR}


class File(NamedTuple):
    """Something to put into the tree: a file, a link, a folder or one of SPECIAL."""

    path: bytes
    kind: str
    content: bytes = b""


class Tree(NamedTuple):
    """Files in the order in which they are made, and whether /lib is a folder of its own."""

    files: tuple[File, ...]
    credential: bytes | None = None

    def make(self, host: Host) -> None:
        """Put the files onto a host."""
        host.clear()
        for file in self.files:
            if host.has(file.path):  # /lib may be the same as /usr/lib
                continue
            if file.kind == "link":
                host.link(file.path, file.content)
            elif file.kind == "folder":
                host.folder(file.path)
            elif file.kind in SPECIAL:
                host.special(file.path, SPECIAL[file.kind])
            else:
                host.write(file.path, file.content)
        if self.credential is not None:
            place = b"/run/credentials/systemd-sysctl.service/sysctl.extra"
            host.write(place, self.credential)


NAMES = strategies.sampled_from(
    [
        *[b"10-a.conf", b"50-b.conf", b"50-B.conf", b"99-sysctl.conf", b"99-z.conf"] * 8,
        b"90-net.ipv4.ip_local_port_range.conf",
        b"net.ipv4.ip_local_port_range.conf",
        b".x.conf",
        b".conf",
        b"-x.conf",
        b"~x.conf",
        b"README",
        b"50-b",
        b"50-b.conf.bak",
        b"50-b.conf~",
        b"50-b.CONF",
        b"50-{a,b}.conf",
        b"{50-b}.conf",
        b"5*.conf",
        b"50-[a-z].conf",
        b"[!0-8]*.conf",
        b"50-?.conf",
        b"50-\\b.conf",
        b"a b.conf",
        b"a\nb.conf",
        "\u00e9.conf".encode(),
        b"\xff.conf",
    ]
)

LINK_TARGETS = strategies.sampled_from(
    [
        b"/dev/null",
        b"../../dev/null",
        b"../sysctl.conf",
        b"/etc/sysctl.conf",
        b"/etc/sysctl.d/50-b.conf",
        b"50-b.conf",
        b"/nowhere",
        b"nowhere.conf",
        b"/usr/lib/sysctl.d",
        b"/usr/lib/sysctl.d/../sysctl.d/50-b.conf",
        b"../../../../../../etc/sysctl.conf",
    ]
)

BLANKS = strategies.sampled_from([b"", b"", b" ", b"  ", b"\t", b" \t "])
ODD_BLANKS = strategies.sampled_from(
    [b""] * 30 + [b" ", b"\v", b"\f", b"\xc2\xa0", b"\xe2\x80\x83", b"\x1c", b"\xff", b"\r"]
)
COMMENTS = strategies.sampled_from(
    [b"# net.ipv4.ip_local_port_range = 1 2\n", b"; x\n", b"# \xff\n", b"#" * 9000 + b"\n"]
)
LINE_ENDS = strategies.sampled_from(
    [b"\n", b"\n", b"\n", b"\n", b"\r\n", b"\n\r", b"\n\n", b" \n", b"\r", b"\0\n", b"\\\n", b""]
)


@strategies.composite
def spellings(draw, key: str) -> bytes:
    """
    Draw one of the ways to write a key, a few of which no program takes.
    """
    parts = key.split(".")
    way = draw(strategies.integers(0, 23))
    if way < 12:
        return key.encode()
    if way < 16:
        return "/".join(parts).encode()
    return draw(
        strategies.sampled_from(
            [
                f".{key}",
                f"/{'/'.join(parts)}",
                f"{key}.",
                f"{'/'.join(parts)}/",
                key.replace(".", "..", 1),
                "//".join(parts),
                "/./".join(parts),
                f"net/core/../{'/'.join(parts[1:])}",
                f"net/nosuch/../{'/'.join(parts[1:])}",
                f"../sys/{'/'.join(parts)}",
                f"../../proc/sys/{'/'.join(parts)}",
                f"net.ipv4/{parts[2]}",
                f"net/ipv4.{parts[2]}",
                key.upper(),
                f"{key} x",
                f'"{key}"',
                f"proc.sys.{key}",
                f"net.core.//.{'.'.join(parts[1:])}",
            ]
        )
    ).encode()


PATTERNS = strategies.sampled_from(
    [
        b"net.ipv4.ip_local_*",
        b"net.ipv4.ip_local_port_rang?",
        b"net/ipv4/ip_local_[pr]*",
        b"net.ipv4.ip_[!a-k]ocal_port_range",
        b"net.*.ip_local_port_range",
        b"net.ipv4.ip_*",
        b"net.ipv4.tcp_tw_reus*",
        b"net.ipv4.{ip_local_port_range,tcp_tw_reuse}",
        b"net.ipv4.{ip_local_port_range,ip_unprivileged_port_start}*",
        b"*.ipv4.ip_local_port_range",
        b"net.*",
        b"*",
        b"net.ipv4.ip_local_port_rang\\e*",
        b"net.ipv4.ip_local_port_[range",
        b"net//ipv4/ip_local_port_r*",
        b"net/core/../ipv4/ip_local_port_r*",
        b"net/ipv4/ip_local_port_r*/",
    ]
)


@strategies.composite
def values(draw, key: str, unique: int) -> bytes:
    """
    Draw a value that no other line has, often one that the kernel refuses or bends.
    """
    first = 15_000 + unique
    if key == RESERVED:
        return draw(
            strategies.sampled_from(
                [
                    f"{first}",
                    f"{first}",
                    f"{first},{first + 7}-{first + 9}",
                    f"{first} {first + 2}",
                    f"{first}-",
                    f"0{first}",
                    f"{first:#x}",
                    "",
                    f"'{first}'",
                    ",".join(map(str, range(first, first + 1500, 2))),
                    ",".join(map(str, range(first, first + 4000, 2))),
                ]
            )
        ).encode()
    if key in {REUSE, TIMEOUT}:
        number = unique % 3 if key == REUSE else unique + 5
        ways = [
            f"{number}",
            f"{number}",
            f"{number} 7",
            f"0{number}",
            f"{number:#x}",
            "-1",
            "x",
            "",
        ]
        return draw(strategies.sampled_from(ways)).encode()
    if key == START:
        start = draw(strategies.sampled_from([unique, 1024 + unique, 15_000 + unique]))
        ways = [f"{start}", f"{start}", f"{start} 443", f"0{start}", "65536", "-1", ""]
        return draw(strategies.sampled_from(ways)).encode()
    low = draw(strategies.sampled_from([first, first, first, 80 + unique, 1100 + unique]))
    return draw(
        strategies.sampled_from(
            [
                f"{low} {64_000 - unique}",
                f"{low} {64_000 - unique}",
                f"{low} {64_000 - unique}",
                f"{low}\t{64_000 - unique}",
                f"{low}",
                f"0{low % 7777} 0{64_000 - unique}",
                f"{low:#x} {64_000 - unique:#x}",
                f"{low} {64_000 - unique} # why",
                f"{low} {64_000 - unique} 5",
                f"{low}-{64_000 - unique}",
                f'"{low} {64_000 - unique}"',
                f"{64_000 - unique} {low}",
                f"{low} 65536",
                f"{low} {64_000 - unique}x",
                f"{low}{' ' * 5000}{64_000 - unique}",
                f"{'0' * 20}{low} {64_000 - unique}",
                "",
            ]
        )
    ).encode()


@strategies.composite
def lines(draw, unique: list[int]) -> bytes:
    """
    Draw one line with its end.
    """
    way = draw(strategies.integers(0, 19))
    if way == 0:
        return draw(COMMENTS)
    if way == 1:
        return draw(strategies.sampled_from([b"\n", b"nonsense\n", b"=\n", b"= 5\n", b"x=\n"]))
    key = draw(strategies.sampled_from([RANGE] * 5 + [START] * 2 + [RESERVED, REUSE, TIMEOUT]))
    name = draw(PATTERNS if way == 2 else spellings(key))
    minus = draw(strategies.sampled_from([b""] * 12 + [b"-", b"-", b"- ", b"--", b"-\t"]))
    indent = draw(BLANKS)
    if way == 3:
        return indent + b"-" + name + draw(LINE_ENDS)
    unique[0] += draw(strategies.sampled_from([1] * 9 + [0]))
    value = draw(values(key, unique[0]))
    equals = draw(strategies.sampled_from([b"="] * 12 + [b"==", b""]))
    first = draw(strategies.sampled_from([b""] * 20 + [b"\xef\xbb\xbf", b"=", b"\v"]))
    parts = (first, indent, minus, name, draw(BLANKS), equals)
    return b"".join((*parts, draw(BLANKS), draw(ODD_BLANKS), value, draw(ODD_BLANKS), draw(BLANKS)))


@strategies.composite
def contents(draw, unique: list[int]) -> bytes:
    """
    Draw the content of a file.
    """
    drawn = draw(strategies.lists(lines(unique), min_size=1, max_size=6))
    return b"".join(line + draw(LINE_ENDS) for line in drawn)


@strategies.composite
def files(draw, path: bytes, unique: list[int]) -> File:
    """
    Draw what stands at a path.
    """
    kind = draw(strategies.sampled_from(["file"] * 12 + ["empty", "link", "loop", "folder"]))
    if kind == "link":
        return File(path, "link", draw(LINK_TARGETS))
    if kind == "loop":
        return File(path, "link", path.rpartition(b"/")[2])
    if kind == "folder":
        return File(path, "folder")
    return File(path, "file", b"" if kind == "empty" else draw(contents(unique)))


@strategies.composite
def trees(draw, directories: Sequence[bytes] = DIRECTORIES) -> Tree:
    """
    Draw a whole tree, with files in some of these directories.
    """
    unique = [0]
    places = strategies.tuples(strategies.sampled_from(directories), NAMES)
    chosen = draw(strategies.lists(places, min_size=1, max_size=6, unique=True))
    drawn = [draw(files(b"/".join(place), unique)) for place in chosen]
    if draw(strategies.booleans()):
        drawn.append(draw(files(b"/etc/sysctl.conf", unique)))
    credential = draw(contents(unique)) if draw(strategies.integers(0, 9)) == 0 else None
    return Tree(tuple(drawn), credential)


KEYS = tuple(DEFAULTS)

# Not hypothesis's explanation of a failure: it would boot some hundred times more.
PHASES = (hypothesis.Phase.generate, hypothesis.Phase.shrink)
