"""Firewall files: lines that name the default range, so that ports outside may not pass.

Rules of this file:

- a line is told, not judged: whether it concerns local ports, a person sees;
- a comment is no line;
- the search is bounded; what is there and was not searched is a Gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from portroom.kernel.files import list_below, read_below
from portroom.model.facts.gaps import Gap
from portroom.model.facts.surroundings import FilterLine
from portroom.model.facts.sysctl_files import FILE, UNSEEN, shown


class Place(NamedTuple):
    """A file, or the files with one of some endings in a folder."""

    path: bytes
    endings: tuple[bytes, ...] = ()


ALL = (b"",)

PLACES = (
    Place(b"/etc/nftables.conf"),
    Place(b"/etc/nftables.d", ALL),
    Place(b"/etc/nftables", ALL),
    Place(b"/etc/iptables", ALL),
    Place(b"/etc/sysconfig/iptables"),
    Place(b"/etc/sysconfig/ip6tables"),
    Place(b"/etc/sysconfig/nftables.conf"),
    Place(b"/etc/ufw", (b".rules",)),
    Place(b"/etc/firewalld", (b".xml",)),
    Place(b"/etc/firewalld/zones", (b".xml",)),
    Place(b"/etc/firewalld/services", (b".xml",)),
    Place(b"/etc/firewalld/policies", (b".xml",)),
)

LARGEST_FILE_BYTES = 1 << 20

LARGEST_SEARCH_BYTES = 4 << 20
"""What is searched of all files together, so that it takes no second."""

MOST_FILES = 200

MOST_LINES = 100
"""Lines that are told of one file."""

LINE_LETTERS = 200
"""What is told of one line."""

RANGE = re.compile(rb"(?<![\d.:])32768[ \t]?[-:][ \t]?(60999|61000|65535)(?![\d.:])")
"""The default range: 60999 since Linux 4.2, 61000 before, and what is often written instead."""

COMMENT = re.compile(rb"(?:^|\s)#|<!--", re.MULTILINE)

AFFECTS = ("limits",)


def read_filter_lines(root: bytes) -> tuple[tuple[FilterLine, ...], tuple[Gap, ...]]:
    """Return the lines of firewalls' files that name the default range, and what was not read."""
    gaps: list[Gap] = []
    paths = [path for place in PLACES for path in _paths(root, place, gaps)]
    if len(paths) > MOST_FILES:
        reason = f"{len(paths)} files of firewalls, only the first {MOST_FILES} were searched"
        gaps.append(Gap("filters", reason, AFFECTS))
    lines: list[FilterLine] = []
    left = LARGEST_SEARCH_BYTES
    for path in paths[:MOST_FILES]:
        found = read_below(root, path, min(LARGEST_FILE_BYTES, left))
        left -= len(found.content)
        if found.kind == FILE:
            lines += _lines(shown(path), found.content)
        elif found.kind in UNSEEN:
            gaps.append(Gap(shown(path), f"is a {found.kind}: not searched", AFFECTS))
    return tuple(lines), tuple(gaps)


def _paths(root: bytes, place: Place, gaps: list[Gap]) -> list[bytes]:
    """Return the paths of one place; a folder that may not be listed is a Gap."""
    if not place.endings:
        return [place.path]
    try:
        names, _ = list_below(root, place.path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        gaps.append(Gap(shown(place.path), f"cannot be listed: {error.strerror}", AFFECTS))
        return []
    return [b"%s/%s" % (place.path, name) for name in names if name.endswith(place.endings)]


def _lines(file: str, content: bytes) -> list[FilterLine]:
    """Return the lines of one file that name the range, at most MOST_LINES."""
    return [
        FilterLine(file, number, shown(text[:LINE_LETTERS])) for number, text in _matches(content)
    ][:MOST_LINES]


def _matches(content: bytes) -> Iterator[tuple[int, bytes]]:
    r"""
    Yield number and text of each line that names the range outside of a comment.

    >>> list(_matches(b"# 32768-60999\ntcp dport 32768-60999 accept\n-A x --sport 32768:61000\n"))
    [(2, b'tcp dport 32768-60999 accept'), (3, b'-A x --sport 32768:61000')]
    """
    number = counted = end = 0
    for match in RANGE.finditer(content):
        # A line is looked at once, so that an endless one full of matches costs no more.
        if match.start() < end:
            continue
        begin = content.rfind(b"\n", end, match.start()) + 1 or end
        end = content.find(b"\n", match.end()) + 1 or len(content)
        if not COMMENT.search(content, begin, match.start()):
            number += content.count(b"\n", counted, begin)
            counted = begin
            yield number + 1, content[begin:end].strip()
