"""Traces: files that set a sysctl later than the boot program, or by other means.

Rules of this file:

- a trace is a line that names the key; whether it runs, nobody can tell;
- a comment is no trace;
- the search is bounded: so many files, so many bytes each, regular files only,
  never outside the root; what was not read is a Gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from portroom.kernel.files import list_below, read_below
from portroom.model.facts.boot import AFTER, ANY_TIME, EVERY_KEY, TRACE, BootWriter
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sysctl_files import DANGLING, DIRECTORY, FILE, NULL, shown
from portroom.model.laws.sysctl_lines import with_dots, with_slashes

LARGEST_TRACE_BYTES = 1 << 20

LARGEST_SEARCH_BYTES = 4 << 20
"""What is searched of all files together, so that it takes no second."""

MOST_TRACE_FILES = 1_000

MOST_LINES = 100
"""Lines of one file that are told for one key."""

MOST_AROUND_BYTES = 4096
"""What is looked at of a line, before and behind the key."""


class Place(NamedTuple):
    """
    Where to look: a file, or files with one of some endings in a folder.

    ``path`` may hold ``*`` for one part. ``runner`` is who runs what stands there.
    """

    path: bytes
    runner: str
    when: str = ANY_TIME
    endings: tuple[bytes, ...] = ()


ALL = (b"",)

PLACES = (
    Place(b"/etc/rc.local", "rc.local", AFTER),
    Place(b"/etc/rc.d/rc.local", "rc.local", AFTER),
    Place(b"/etc/local.d", "OpenRC's local", AFTER, (b".start",)),
    Place(b"/etc/boot.local", "boot.local", AFTER),
    Place(b"/etc/network/interfaces", "ifupdown"),
    Place(b"/etc/network/interfaces.d", "ifupdown", ANY_TIME, ALL),
    Place(b"/etc/network/if-pre-up.d", "ifupdown", ANY_TIME, ALL),
    Place(b"/etc/network/if-up.d", "ifupdown", ANY_TIME, ALL),
    Place(b"/etc/network/if-down.d", "ifupdown", ANY_TIME, ALL),
    Place(b"/etc/network/if-post-down.d", "ifupdown", ANY_TIME, ALL),
    Place(b"/etc/NetworkManager/dispatcher.d", "NetworkManager", ANY_TIME, ALL),
    Place(b"/etc/NetworkManager/dispatcher.d/pre-up.d", "NetworkManager", ANY_TIME, ALL),
    Place(b"/etc/networkd-dispatcher/*.d", "networkd-dispatcher", ANY_TIME, ALL),
    Place(b"/etc/systemd/system", "systemd", ANY_TIME, (b".service",)),
    Place(b"/etc/systemd/system/*.service.d", "systemd", ANY_TIME, (b".conf",)),
    Place(b"/etc/udev/rules.d", "udev", ANY_TIME, (b".rules",)),
    Place(b"/etc/modprobe.d", "modprobe", ANY_TIME, (b".conf",)),
    Place(b"/etc/crontab", "cron"),
    Place(b"/etc/cron.d", "cron", ANY_TIME, ALL),
    Place(b"/etc/cron.hourly", "cron", ANY_TIME, ALL),
    Place(b"/etc/cron.daily", "cron", ANY_TIME, ALL),
    Place(b"/var/spool/cron/crontabs", "cron", ANY_TIME, ALL),
    Place(b"/var/spool/cron", "cron", ANY_TIME, ALL),
    Place(b"/etc/cloud/cloud.cfg", "cloud-init"),
    Place(b"/etc/cloud/cloud.cfg.d", "cloud-init", ANY_TIME, (b".cfg",)),
    Place(b"/var/lib/cloud/instance/user-data.txt", "cloud-init"),
    Place(b"/var/lib/cloud/instance/scripts", "cloud-init", ANY_TIME, ALL),
    Place(b"/var/lib/cloud/scripts/per-boot", "cloud-init", AFTER, ALL),
)
"""What runs at boot after the sysctl files, or whenever something happens."""

NOTHING_THERE = frozenset({DANGLING, DIRECTORY, NULL})
"""Kinds of names that hold no line, so that no Gap is due."""

APPLIES_FILES = rb"\bsysctl\b[^#;|&]*\s(--system|--load|-[a-zA-Z]*p)\b"
"""A command that applies sysctl files once more."""

COMMENT = rb"(?:^|\s)#"

PART_BEFORE = rb"\w$"
PART_AFTER = rb"[\w-]|[./]\w"
"""What makes a word part of a longer one: tcp_tw_reuse is not tcp_tw_reuse_delay."""

ECHO = rb"\b(?:echo|printf)\s+(?:-\w+\s+)*(.+?)\s*(?:>|\|\s*(?:sudo\s+)?tee\b)"


class Line(NamedTuple):
    """A line without its comment, and where in it stands what was looked for."""

    number: int
    text: bytes
    begin: int
    end: int


def read_traces(
    keys: Sequence[str], root: bytes, places: Sequence[Place] = PLACES
) -> tuple[list[BootWriter], list[Gap]]:
    """
    Search the places for lines that name a key.

    Args:
        keys: Sysctl keys, with dots or slashes.
        root: The folder that stands for ``/``.
        places: Where to look, in this order.

    Returns:
        One writer a line and key, and what could not be read.
    """
    files, gaps = _files(root, places)
    writers: list[BootWriter] = []
    left = LARGEST_SEARCH_BYTES
    for place, path in files:
        found = read_below(root, path, min(LARGEST_TRACE_BYTES, left))
        left -= len(found.content)
        if found.kind == FILE:
            writers += _traces(place, path, found.content, keys)
        elif found.kind not in NOTHING_THERE:
            gaps.append(Gap(shown(path), f"is a {found.kind}: not searched", ("others",)))
    return writers, gaps


def _files(root: bytes, places: Sequence[Place]) -> tuple[list[tuple[Place, bytes]], list[Gap]]:
    """Return the paths to read, each once, no more than MOST_TRACE_FILES."""
    found: dict[bytes, Place] = {}
    gaps: list[Gap] = []
    for place in places:
        for path in _paths(root, place, gaps):
            found.setdefault(path, place)
    files = [(place, path) for path, place in found.items()]
    if len(files) > MOST_TRACE_FILES:
        reason = f"{len(files)} files to search, only the first {MOST_TRACE_FILES} were"
        gaps.append(Gap("traces", reason, ("others",)))
    return files[:MOST_TRACE_FILES], gaps


def _paths(root: bytes, place: Place, gaps: list[Gap]) -> list[bytes]:
    """Return the paths of one place."""
    if not place.endings:
        return [place.path]
    folders = [place.path]
    parent, _, pattern = place.path.rpartition(b"/")
    if b"*" in pattern:
        ending = pattern.partition(b"*")[2]
        names = _names(root, parent, gaps)
        folders = [b"%s/%s" % (parent, name) for name in names if name.endswith(ending)]
    return [
        b"%s/%s" % (folder, name)
        for folder in folders
        for name in _names(root, folder, gaps)
        if name.endswith(place.endings)
    ]


def _names(root: bytes, folder: bytes, gaps: list[Gap]) -> list[bytes]:
    """Return the names in a folder; one that is there and cannot be listed is a Gap."""
    try:
        return list_below(root, folder)[0]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        gaps.append(Gap(shown(folder), f"cannot be listed: {error.strerror}", ("others",)))
        return []


def _traces(place: Place, path: bytes, content: bytes, keys: Sequence[str]) -> Iterator[BootWriter]:
    """Yield a writer for each key and line of one file, and for each ``sysctl -p``."""
    for key in keys:
        for line in lines_naming(content, key):
            value = written_value(line.text, line.begin, line.end)
            yield _writer(place, path, line.number, key, value, f"may set {key}")
    for line in islice(_lines_with(content, (b"sysctl",)), MOST_LINES):
        if re.search(APPLIES_FILES, line.text):
            what = "may apply sysctl files again"
            yield _writer(place, path, line.number, EVERY_KEY, None, what)


def _writer(
    place: Place, path: bytes, number: int, key: str, value: bytes | None, what: str
) -> BootWriter:
    """Return the writer that one line is."""
    return BootWriter(
        kind=TRACE,
        name=place.runner,
        key=key,
        value=None if value is None else shown(value),
        file=shown(path),
        line=number,
        when=place.when,
        sentence=f"{shown(path)}:{number}, run by {place.runner}, {what}.",
    )


def lines_naming(content: bytes, key: str) -> Iterator[Line]:
    r"""
    Yield each line that names a key outside a comment, the first hundred of them.

    The key counts in either spelling, and as a path below ``/proc/sys``. A
    longer name is another key.

    >>> text = b"# vm.swappiness\necho 1 > /proc/sys/vm/swappiness\nvm.swappiness2=1\n"
    >>> [line.number for line in lines_naming(text, "vm.swappiness")]
    [2]
    """
    path = with_slashes(key.encode("utf-8", "surrogateescape"))
    return islice(_lines_with(content, dict.fromkeys((path, with_dots(path)))), MOST_LINES)


def _lines_with(content: bytes, words: Iterable[bytes]) -> Iterator[Line]:
    """Yield each line that has one of some words, whole and outside a comment."""
    for word in words:
        number, counted = 1, 0
        at = content.find(word)
        while at >= 0:
            end = at + len(word)
            # A line is looked at once, so that an endless one full of the word costs no more.
            if _is_whole(content, at, end):
                if line := _line_at(content, at, end):
                    number += content.count(b"\n", counted, at)
                    counted = at
                    yield line._replace(number=number)
                end = content.find(b"\n", end)
            at = content.find(word, end) if end >= 0 else -1


def _is_whole(content: bytes, begin: int, end: int) -> bool:
    """Say whether a word is no part of a longer one."""
    before, after = content[max(begin - 1, 0) : begin], content[end : end + 2]
    return not (re.search(PART_BEFORE, before) or re.match(PART_AFTER, after))


def _line_at(content: bytes, begin: int, end: int) -> Line | None:
    """Return the line around a word without its comment, None where the word is in that."""
    earliest, latest = max(begin - MOST_AROUND_BYTES, 0), end + MOST_AROUND_BYTES
    first = max(content.rfind(b"\n", earliest, begin) + 1, earliest)
    text = content[first:latest].partition(b"\n")[0]
    comment = re.search(COMMENT, text)
    if text.lstrip().startswith(b";") or (comment and comment.start() <= begin - first):
        return None
    code = text[: comment.start()] if comment else text
    return Line(0, code, begin - first, end - first)


def written_value(line: bytes, begin: int, end: int) -> bytes | None:
    """
    Return what a line gives a key that stands from *begin* to *end*, None for not told.

    >>> line = b"ExecStart=/sbin/sysctl -w 'net.ipv4.ip_local_port_range=1024 65000' -q"
    >>> written_value(line, 27, 55)
    b'1024 65000'
    >>> written_value(b"echo 15000 65000 > /proc/sys/net/ipv4/ip_local_port_range", 29, 57)
    b'15000 65000'
    """
    before, after = line[:begin], line[end:]
    assigned = re.match(rb"\s*=\s*(.*)", after, re.DOTALL)
    if not assigned:
        echoed = re.search(ECHO, before)
        return echoed[1].strip(b"\"' ") if echoed else None
    text = assigned[1]
    quote = text[:1] if text[:1] in {b'"', b"'"} else before[-1:]
    if quote in {b'"', b"'"}:
        return text.removeprefix(quote).partition(quote)[0]
    if b"[" in before and b"]" in text:  # a list of YAML
        return re.split(rb"[],]", text, maxsplit=1)[0].strip()
    if b"sysctl" in before:
        return (text.split(None, 1) or [b""])[0].rstrip(b";\"'")
    return text.strip()
