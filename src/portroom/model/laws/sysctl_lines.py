r"""The lines of a sysctl file: keys and values, as each program reads them.

Rules of this file: a key is kept as the program spells it, below ``/proc/sys``
with slashes; what it leads to is a path such as ``b"net/ipv4/tcp_tw_reuse"``.

Part of the portable core: standard library and Python 3.9 syntax only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from portroom.model.laws.dialects import (
    ALL_SLASHES,
    BROKEN,
    SWAPS,
    WRITES_NEWLINE,
    Dialect,
)
from portroom.model.laws.patterns import is_pattern, matches

COMMENTS = (b"#", b";")

SWAPPED = bytes.maketrans(b"./", b"/.")

AROUND = b"-\"'"
"""What may stand around a key that a person means."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

NAME_ALONE = rb"[:\s]"
"""What ends the name in a line without ``=``."""

LEFT_OUT = "leaves it out"

FOLDERS = frozenset(
    {b"", b"fs", b"kernel", b"net", b"net/core", b"net/ipv4", b"net/ipv6", b"vm"}
    | {b"net/netfilter", b"net/unix", b"dev", b"user"}
)
"""Folders below /proc/sys through which ``..`` may lead; all kernels have them."""


class Assignment(NamedTuple):
    """
    What a program takes a line for.

    ``key`` is the key as the program spells it; ``value`` is None for a line
    without ``=``: ``-KEY``, or a broken one. ``problem`` says why it is no
    setting, empty for one that it is.
    """

    key: bytes
    value: bytes | None
    problem: str = ""


def split_lines(content: bytes, line_ends: bytes) -> Iterator[tuple[int, bytes]]:
    r"""
    Yield each line that is not blank, with its number.

    Args:
        content: The file.
        line_ends: Each of these bytes ends a line; NUL ends what is seen of one.

    >>> list(split_lines(b"a\n\nb\rc\n", b"\n\r"))
    [(1, b'a'), (3, b'b'), (3, b'c')]
    """
    others = [bytes([end]) for end in line_ends if end != ord("\n")]
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line:  # most lines of a huge file, so they cost nothing more
            continue
        parts = [line]
        for end in others:
            if end in line:
                parts = [part for whole in parts for part in whole.split(end)]
        for part in parts:
            if part and not part.isspace():
                yield number, part


def parse_line(line: bytes, rules: Dialect) -> Assignment:
    """
    Return what a program takes a line for that is neither blank nor a comment.

    Args:
        line: Without its end.
        rules: Of the program.
    """
    text = _stripped(line if rules.is_text else line.partition(b"\0")[0], rules)
    if rules.skips_leading_equals:
        text = text.lstrip(b"=")
    if b"=" not in text:
        if text.startswith(b"-") and rules.bare_minus != BROKEN:
            return Assignment(spelled(text[1:], rules), None)
        return Assignment(spelled(text, rules), None, "there is no '=' in it")
    name, _, value = text.partition(b"=")
    if name.startswith(b"-") and rules.minus_ignores_failure:
        name = name[1:]
    return _judged(_stripped_end(name, rules), _value(value, rules), rules)


def _judged(name: bytes, value: bytes, rules: Dialect) -> Assignment:
    """Return an assignment, with what is wrong with it for the program."""
    key = spelled(name, rules)
    if not value and rules.empty_value != WRITES_NEWLINE:
        return Assignment(key, value, "the value is empty")
    if rules.left_out and _is_left_out(name, rules.left_out):
        return Assignment(key, value, f"the configuration of {rules.program} {LEFT_OUT}")
    return Assignment(key, value)


def _is_left_out(name: bytes, patterns: Sequence[str]) -> bool:
    """Say whether a key, as it stands in the line, is one that shall be left out."""
    from fnmatch import fnmatchcase

    text = name.decode("utf-8", "surrogateescape")
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _value(text: bytes, rules: Dialect) -> bytes:
    """Return the value of a line, without what the program strips or cuts off."""
    if rules.value_ends:
        text = text.lstrip(rules.value_ends)
        for end in rules.value_ends:
            text = text.partition(bytes([end]))[0]
        return text.lstrip(rules.leading_blanks)
    return _stripped(text, rules)


def _stripped(text: bytes, rules: Dialect) -> bytes:
    """Return a text without the blanks around it, as the program knows them."""
    if rules.is_text:  # all that Unicode calls a blank
        return text.decode("utf-8", "surrogateescape").strip().encode("utf-8", "surrogateescape")
    return _stripped_end(text.lstrip(rules.leading_blanks), rules)


def _stripped_end(text: bytes, rules: Dialect) -> bytes:
    """Return a text without the blanks behind it, as the program knows them."""
    if rules.is_text:
        return text.decode("utf-8", "surrogateescape").rstrip().encode("utf-8", "surrogateescape")
    return text.rstrip(rules.blanks)


def spelled(name: bytes, rules: Dialect) -> bytes:
    """
    Return a key as the program spells it below ``/proc/sys``.

    >>> from portroom.model.laws.dialects import dialect
    >>> spelled(b"net.ipv4.conf.eth0/1.mtu ", dialect("procps"))
    b'net/ipv4/conf/eth0.1/mtu'
    """
    name = _stripped_end(name.lstrip(rules.blanks) if rules.blank_after_minus else name, rules)
    if rules.second_minus and name.startswith(b"-"):
        name = name[1:]
    if rules.separators == ALL_SLASHES:
        name = name.replace(b".", b"/")
    elif rules.separators == SWAPS:
        name = name.translate(SWAPPED)
    else:
        name = with_slashes(name)
    if rules.simplifies_keys:
        return b"/".join(part for part in name.split(b"/") if part not in {b"", b"."})
    return name


def with_slashes(name: bytes) -> bytes:
    """
    Return a key with slashes between its parts: the first separator decides.

    >>> with_slashes(b"net.ipv4.tcp_tw_reuse"), with_slashes(b"net/ipv4/conf/eth0.1/mtu")
    (b'net/ipv4/tcp_tw_reuse', b'net/ipv4/conf/eth0.1/mtu')
    """
    dot, slash = name.find(b"."), name.find(b"/")
    if dot < 0 or 0 <= slash < dot:
        return name
    return name.translate(SWAPPED)


def with_dots(path: bytes) -> bytes:
    """
    Return a path below ``/proc/sys`` as people write the key.

    >>> with_dots(b"net/ipv4/conf/eth0.1/mtu")
    b'net.ipv4.conf.eth0/1.mtu'
    """
    return path.translate(SWAPPED)


def meant(line: bytes) -> bytes:
    r"""
    Return the path that a person means by a line, however a program reads it.

    Returns:
        The path or pattern below ``/proc/sys``; empty where there is none.

    >>> meant(b"\xef\xbb\xbf - net/ipv4/../ipv4/tcp_tw_reuse = 1")
    b'net/ipv4/tcp_tw_reuse'
    >>> meant(b"net.ipv4.tcp_tw_reuse: 1"), meant(b"net.ipv4.tcp_tw_reuse 1")
    (b'net/ipv4/tcp_tw_reuse', b'net/ipv4/tcp_tw_reuse')
    """
    text = _visible(line.partition(b"\0")[0].removeprefix(BYTE_ORDER_MARK))
    if text.startswith(COMMENTS):
        return b""
    text = text.lstrip(b"=")
    name = _visible(text.partition(b"=")[0], AROUND)
    if b"=" not in text:  # as in other files: KEY: VALUE, or KEY VALUE
        name = re.split(NAME_ALONE, name, maxsplit=1)[0]
    parts = [part for _, part in _walk(with_slashes(name))[0]]
    return b"/".join(parts[2:] if parts[:2] == [b"proc", b"sys"] else parts)


def detours(key: bytes) -> list[tuple[int, bytes]]:
    """
    Return the names in a key that ``..`` leads out of again, each with its place.

    Args:
        key: What stands before the ``=`` of a line, or before its value.

    Returns:
        Names as in a key with slashes: as long as what stands in *key*.

    >>> detours(b"- net/a.b/../ipv4/tcp_tw_reuse "), detours(b"net.a/b.//.ipv4.tcp_tw_reuse")
    ([(6, b'a.b')], [(4, b'a.b')])
    """
    name = _visible(key.removeprefix(BYTE_ORDER_MARK), AROUND + b":=")
    begin = key.find(name)
    return [(begin + at, part) for at, part in _walk(with_slashes(name))[1]]


def _walk(path: bytes) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]:
    """Return the names on a path with their places: those that it keeps, and those left again."""
    kept: list[tuple[int, bytes]] = []
    left: list[tuple[int, bytes]] = []
    at = 0
    for part in path.split(b"/"):
        if part == b"..":
            left += kept[-1:]
            del kept[-1:]
        elif part not in {b"", b"."}:
            kept.append((at, part))
        at += len(part) + 1
    return kept, left


def _visible(text: bytes, others: bytes = b"") -> bytes:
    """Return a text without blanks of any kind, and *others*, around it."""
    whole = text.decode("utf-8", "surrogateescape").strip().strip(others.decode()).strip()
    return whole.encode("utf-8", "surrogateescape")


def led_to(key: bytes, rules: Dialect, existing: Collection[bytes]) -> bytes | None:
    """
    Return the path below ``/proc/sys`` that a spelled key leads to.

    Args:
        key: Without pattern.
        rules: Of the program.
        existing: Paths of the sysctls that matter, as far as they exist.

    Returns:
        The path; None where the program or the kernel finds nothing.
    """
    parts = key.split(b"/")
    if b".." not in parts:
        path = b"/".join(part for part in parts if part not in {b"", b"."})
        # The kernel finds no folder behind a file: "tcp_tw_reuse/" is nothing.
        return None if path and parts[-1] in {b"", b"."} else path
    if not rules.writes_through_parents:
        return None
    return _through_parents(parts, existing)


def _through_parents(parts: list[bytes], existing: Collection[bytes]) -> bytes | None:
    """Return where a path with ``..`` leads, if all folders on the way exist."""
    folders = {b"proc", b"", *(b"/".join((b"proc/sys", folder)).rstrip(b"/") for folder in FOLDERS)}
    folders |= {b"proc/sys/" + path.rpartition(b"/")[0] for path in existing}
    at = [b"proc", b"sys"]
    for part in parts:
        if part in {b"", b"."}:
            continue
        if b"/".join(at) not in folders:
            return None
        if part == b"..":
            del at[-1:]
        else:
            at.append(part)
    if at[:2] != [b"proc", b"sys"] or parts[-1] in {b"", b"."}:
        return None
    return b"/".join(at[2:])


def found_by(
    pattern: bytes, path: bytes, rules: Dialect, existing: Collection[bytes]
) -> bytes | None:
    """
    Return how glob(3) spells the path of a sysctl that it finds by a pattern.

    Args:
        pattern: A key as the program spells it.
        path: Of the sysctl.
        rules: Of the program.
        existing: As for led_to().

    Returns:
        The spelling, with doubled slashes as the pattern has them; None where the
        pattern does not find the sysctl.

    >>> from portroom.model.laws.dialects import dialect
    >>> found_by(b"net//ipv4/tcp_tw_*", b"net/ipv4/tcp_tw_reuse", dialect("procps"), [])
    b'net//ipv4/tcp_tw_reuse'
    """
    parts, names = pattern.split(b"/"), path.split(b"/")
    spelling: list[bytes] = []
    if b".." in parts:
        behind = len(parts) - parts[::-1].index(b"..")
        spelling, parts = parts[:behind], parts[behind:]
        folder = led_to(b"/".join(spelling), rules, existing) or b""
        inside = folder.split(b"/")
        if not folder or is_pattern(b"/".join(spelling)) or names[: len(inside)] != inside:
            return None
        del names[: len(inside)]
    for part in parts:
        if part in {b"", b"."}:
            spelling.append(part)
        elif names and matches(part, names[0]):
            spelling.append(names.pop(0))
        else:
            return None
    return None if names or parts[-1] in {b"", b"."} else b"/".join(spelling)
