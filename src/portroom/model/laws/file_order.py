"""File order: which sysctl files a program reads, in which order, and why not the others.

Part of the portable core: standard library and Python 3.9 syntax only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from portroom.model.facts.sysctl_files import (
    DIRECTORIES,
    ENDLESS,
    FILE,
    LARGE,
    NULL,
    NULL_DEVICE,
    SUFFIX,
    SYSCTL_CONF,
    UNREADABLE,
    SysctlFile,
    SysctlTree,
)
from portroom.model.laws.dialects import Dialect
from portroom.model.laws.outcomes import MASKED, UNREAD, Fate, Place
from portroom.model.laws.patterns import expand_braces, matches, stands_for_many

CHUNK_BYTES = 8192
"""
What Python decodes of a file at once; a byte that is no UTF-8 spoils a whole chunk.

Source: Python io.TextIOWrapper, _CHUNK_SIZE.
"""


# Why a file is not read, also for who says what to do about it.
SAME_NAME = "the same name in an earlier directory"
NO_SUFFIX = "the name does not end in .conf"
HIDDEN = "does not read hidden files"
NAME_IS_PATTERN = "its name is a pattern, which finds other files"

MOST_COMPARED_BYTES = 1 << 22
"""Bytes of names times bytes of patterns that are compared; it takes about half a second."""


class Reading(NamedTuple):
    """
    A file, and the fate of its lines if the program does not read it.

    ``doubt`` says why the program may read others in its place, empty if it may not.
    """

    file: SysctlFile
    fate: Fate | None = None
    doubt: str = ""


def readings(tree: SysctlTree, rules: Dialect) -> Iterator[Reading]:
    """Yield the files as the program reads them, then those that it does not."""
    tree = tree._replace(files=tuple(sorted(tree.files, key=lambda file: _rank(file, rules))))
    chosen: dict[bytes, SysctlFile] = {}
    unread = []
    for file in tree.files:
        fate = _fate_of_file(file, chosen, rules)
        if fate:
            unread.append(Reading(file, fate))
        elif file.directory in rules.directories:
            chosen[file.name] = file
    names = _Names(tree.files, rules)
    read = [one for name in sorted(chosen) for one in names.found_by(chosen[name])]
    read += (Reading(file) for file in tree.files if _is_read_last(file, rules))
    yield from _until_it_fails(read) if rules.is_text else read
    # A name that is a pattern may lead to a file that is hidden under its own name, and
    # from its own file to others.
    paths = {one.file.path for one in read}
    elsewhere = Fate(UNREAD, None, NAME_IS_PATTERN)
    unread += (Reading(file, elsewhere) for file in chosen.values())
    yield from (one for one in unread if one.file.path not in paths)


def why_unseen(file: SysctlFile, rules: Dialect) -> str:
    """Return why the content of a file that the program reads is not known."""
    if file.kind in ENDLESS:
        return f"is a {file.kind}: {rules.program} would wait for it or read it without end"
    if file.kind == LARGE:
        return "is too large to be read here"
    return "may not be read"


def _rank(file: SysctlFile, rules: Dialect) -> tuple[int, bytes]:
    """Return what sorts files by their directory, in the order of the program, and by name."""
    known = file.directory in rules.directories
    return rules.directories.index(file.directory) if known else len(rules.directories), file.path


def _is_read_last(file: SysctlFile, rules: Dialect) -> bool:
    """Say whether the program reads a file after all directories."""
    if file.path == SYSCTL_CONF:
        known = file.kind in {FILE, LARGE, UNREADABLE} or not rules.tests_last_file
        return rules.last_file == SYSCTL_CONF and known
    return rules.reads_credential and _is_credential(file)


def _is_credential(file: SysctlFile) -> bool:
    """Say whether a file is the credential for systemd-sysctl."""
    return file.path != SYSCTL_CONF and not file.directory.endswith(b"/sysctl.d")


def _fate_of_file(
    file: SysctlFile, chosen: Mapping[bytes, SysctlFile], rules: Dialect
) -> Fate | None:
    """Return why the program does not read a file, None if it does."""
    if _is_read_last(file, rules):
        return None
    reason = _why_unread(file, rules)
    if reason:
        return Fate(UNREAD, None, reason)
    if file.name not in chosen:
        return None
    other = chosen[file.name]
    how = _what_it_is(other)
    return Fate(MASKED, Place(other.path, 0), f"{SAME_NAME}, {how}" if how else SAME_NAME)


def _what_it_is(file: SysctlFile) -> str:
    """Return in words what hides other files without a line of its own; "" for a usual file."""
    # A tree elsewhere need not have the device, and the link means the same.
    if file.link == NULL_DEVICE or file.kind == NULL:
        return "a link to /dev/null"
    if file.kind != FILE:
        return f"a {file.kind}"
    return "" if file.content else "an empty file"


def _why_unread(file: SysctlFile, rules: Dialect) -> str:
    """Return why the program passes over a file, empty if it does not."""
    if file.path == rules.last_file:
        return f"it is a {file.kind}"
    if file.directory not in rules.directories:
        versioned = file.directory in DIRECTORIES or _is_credential(file)
        return f"{rules.name if versioned else rules.program} does not read {_what(file)}"
    if not file.name.endswith(SUFFIX):
        return NO_SUFFIX
    if file.name.startswith(b".") and not rules.reads_hidden:
        return f"{rules.program} {HIDDEN}"
    return f"it is a {file.kind}" if file.kind in rules.hides_nothing else ""


def _what(file: SysctlFile) -> str:
    """Return what a file that is never read is, in words."""
    if file.path == SYSCTL_CONF:
        return "/etc/sysctl.conf"
    return "credentials" if _is_credential(file) else file.directory.decode()


class _Names:
    """The names of all files, in which a program looks for a name that is a pattern."""

    def __init__(self, files: Iterable[SysctlFile], rules: Dialect):
        self.rules = rules
        self.beside: dict[bytes, list[SysctlFile]] = {}
        self.sizes: dict[bytes, int] = {}
        self.left = MOST_COMPARED_BYTES
        for file in files:
            self.beside.setdefault(file.directory, []).append(file)
            self.sizes[file.directory] = self.sizes.get(file.directory, 0) + len(file.name)

    def found_by(self, file: SysctlFile) -> list[Reading]:
        """Return the files that the name of a file stands for: itself, or as a pattern."""
        special = any(character in b"*?[{\\" for character in file.name)
        if not (self.rules.expands_file_names and special):
            return [Reading(file)]
        patterns = expand_braces(file.name)
        self.left -= len(patterns) * len(file.name) * self.sizes[file.directory]
        if self.left < 0 or stands_for_many(file.name):
            return [Reading(file, doubt="has a name that may stand for too many names")]
        beside = self.beside[file.directory]
        found = [one for pattern in patterns for one in beside if matches(pattern, one.name)]
        return list(map(Reading, found or [file]))


def _until_it_fails(files: list[Reading]) -> Iterator[Reading]:
    """Yield files up to one at which the program fails, and with it all that follows."""
    stop: Fate | None = None
    for file, *_ in files:
        if stop:
            yield Reading(file, stop)
            continue
        read, reason = _readable(file.content)
        yield Reading(file._replace(content=file.content[:read]))
        if reason:
            stop = Fate(UNREAD, Place(file.path, 0), reason)
            # What follows keeps its line numbers behind as many empty lines.
            before = b"\n" * file.content.count(b"\n", 0, read)
            yield Reading(file._replace(content=before + file.content[read:]), stop)


def _readable(content: bytes) -> tuple[int, str]:
    """Return how many bytes of a file are taken before it fails, and why it does."""
    end, reason = len(content), ""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        chunk = error.start // CHUNK_BYTES * CHUNK_BYTES
        end = 1 + max(content.rfind(b"\n", 0, chunk), content.rfind(b"\r", 0, chunk))
        reason = "all ends at a byte that is no UTF-8"
    at = 0
    for line in content[:end].splitlines(keepends=True):
        key, equals, _ = line.partition(b"=")
        if equals and b"\0" in key and not key.decode().lstrip().startswith(("#", ";")):
            return at, "all ends at a key with a zero byte"
        at += len(line)
    return end, reason
