r"""The lines of a sysctl file: keys, values and globs, as each program reads them.

Rules of this file: a key is kept as the program spells it, below ``/proc/sys``
with slashes; what it leads to is a path such as ``b"net/ipv4/tcp_tw_reuse"``.

Part of the portable core: standard library and Python 3.9 syntax only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from portroom.model.laws.dialects import BROKEN, C_BLANKS, WRITES_NEWLINE, Dialect

COMMENTS = (b"#", b";")

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

FOLDERS = frozenset(
    {b"", b"fs", b"kernel", b"net", b"net/core", b"net/ipv4", b"net/ipv6", b"vm"}
    | {b"net/netfilter", b"net/unix", b"dev", b"user"}
)
"""Folders below /proc/sys through which ``..`` may lead; all kernels have them."""


class Assignment(NamedTuple):
    """
    What a program takes a line for.

    ``key`` is the key as the program spells it; ``value`` is None for a line
    ``-KEY``. ``problem`` says why it is no setting, empty for one that it is.
    """

    key: bytes
    value: bytes | None
    problem: str = ""


def is_pattern(key: bytes) -> bool:
    """Say whether programs that know patterns take a key for one."""
    return any(character in key for character in (b"*", b"?", b"["))


def split_lines(content: bytes, line_ends: bytes) -> Iterator[tuple[int, bytes]]:
    r"""
    Yield each line that is not blank, with its number.

    Args:
        content: The file.
        line_ends: Each of these bytes ends a line; NUL ends what is seen of one.

    >>> list(split_lines(b"a\n\nb\rc\n", b"\n\r"))
    [(1, b'a'), (3, b'b'), (3, b'c')]
    """
    for number, line in enumerate(content.split(b"\n"), start=1):
        parts = [line]
        for end in line_ends.replace(b"\n", b""):
            parts = [part for whole in parts for part in whole.split(bytes([end]))]
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
    text = line.partition(b"\0")[0].strip(rules.blanks)
    if rules.skips_leading_equals:
        text = text.lstrip(b"=")
    if b"=" not in text:
        if text.startswith(b"-") and rules.bare_minus != BROKEN:
            return Assignment(spelled(text[1:], rules), None)
        return Assignment(spelled(text, rules), None, "there is no '=' in it")
    name, _, value = text.partition(b"=")
    if name.startswith(b"-") and rules.minus_ignores_failure:
        name = name[1:]
    key, value = spelled(name, rules), _value(value, rules)
    if not value and rules.empty_value != WRITES_NEWLINE:
        return Assignment(key, value, "the value is empty")
    return Assignment(key, value)


def _value(text: bytes, rules: Dialect) -> bytes:
    """Return the value of a line, without what the program strips or cuts off."""
    if rules.value_ends:
        text = text.lstrip(rules.value_ends)
        for end in rules.value_ends:
            text = text.partition(bytes([end]))[0]
        return text.lstrip(b" \t")
    return text.strip(rules.blanks)


def spelled(name: bytes, rules: Dialect) -> bytes:
    """
    Return a key as the program spells it below ``/proc/sys``.

    >>> from portroom.model.laws.dialects import dialect
    >>> spelled(b"net.ipv4.conf.eth0/1.mtu ", dialect("procps"))
    b'net/ipv4/conf/eth0.1/mtu'
    """
    name = name.strip(rules.blanks) if rules.blank_after_minus else name.rstrip(rules.blanks)
    if rules.second_minus and name.startswith(b"-"):
        name = name[1:]
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
    return name.translate(bytes.maketrans(b"./", b"/."))


def with_dots(path: bytes) -> bytes:
    """
    Return a path below ``/proc/sys`` as people write the key.

    >>> with_dots(b"net/ipv4/conf/eth0.1/mtu")
    b'net.ipv4.conf.eth0/1.mtu'
    """
    return path.translate(bytes.maketrans(b"./", b"/."))


def meant(line: bytes) -> bytes:
    r"""
    Return the path that a person means by a line, however a program reads it.

    Returns:
        The path or pattern below ``/proc/sys``; empty where there is none.

    >>> meant(b"\xef\xbb\xbf - net/ipv4/../ipv4/tcp_tw_reuse = 1")
    b'net/ipv4/tcp_tw_reuse'
    """
    text = line.partition(b"\0")[0]
    text = text.removeprefix(BYTE_ORDER_MARK).strip(C_BLANKS)
    if text.startswith(COMMENTS):
        return b""
    name = text.lstrip(b"=").partition(b"=")[0].strip(C_BLANKS + b"-\"'")
    parts: list[bytes] = []
    for part in with_slashes(name).split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in {b"", b"."}:
            parts.append(part)
    return b"/".join(parts[2:] if parts[:2] == [b"proc", b"sys"] else parts)


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


def matches(pattern: bytes, path: bytes) -> bool:
    r"""
    Say whether a path is one that glob(3) finds for a pattern.

    A star does not reach over a slash, a backslash quotes what follows.

    >>> matches(b"net/ipv4/ip_local_*", b"net/ipv4/ip_local_port_range")
    True
    >>> matches(b"net/*", b"net/ipv4/tcp_tw_reuse"), matches(rb"a\*", b"a*")
    (False, True)
    """
    # Only a pattern pays for the import.
    import re

    patterns, names = pattern.split(b"/"), path.split(b"/")
    if len(patterns) != len(names):
        return False
    pairs = zip(patterns, names)
    return all(re.fullmatch(_expression(one), name, re.DOTALL) for one, name in pairs)


def _expression(pattern: bytes) -> bytes:
    """Return the regular expression of one part of a glob."""
    import re

    parts, at = [], 0
    while at < len(pattern):
        character = pattern[at : at + 1]
        at += 1
        if character == b"*":
            parts.append(b".*")
        elif character == b"?":
            parts.append(b".")
        elif character == b"[" and (end := _end_of_set(pattern, at)):
            parts.append(_set(pattern[at:end]))
            at = end + 1
        else:
            if character == b"\\" and at < len(pattern):
                character = pattern[at : at + 1]
                at += 1
            parts.append(re.escape(character))
    hidden = b"" if pattern.startswith((b".", b"\\.")) else rb"(?!\.)"
    return hidden + b"".join(parts)


def _end_of_set(pattern: bytes, at: int) -> int:
    """Return where the ``]`` of a set stands that begins at *at*; 0 for nowhere."""
    first = at + 1 if pattern[at : at + 1] in {b"!", b"^"} else at
    return pattern.find(b"]", first + 1) if first < len(pattern) - 1 else 0


def _set(inside: bytes) -> bytes:
    """Return the regular expression of a set of characters."""
    import re

    negated = inside[:1] in {b"!", b"^"}
    members = re.escape(inside[1:] if negated else inside).replace(rb"\-", b"-")
    return b"[" + (b"^" if negated else b"") + members + b"]"


def expand_braces(pattern: bytes) -> list[bytes]:
    """
    Return the patterns that ``{a,b}`` stands for, one where there is none.

    >>> expand_braces(b"90-{a,b{1,2}}.conf")
    [b'90-a.conf', b'90-b1.conf', b'90-b2.conf']
    """
    found = _braces(pattern)
    if found is None:
        return [pattern]
    begin, commas, end = found
    cuts = [begin, *commas, end]
    inner = [pattern[first + 1 : last] for first, last in zip(cuts, cuts[1:])]
    whole = [pattern[:begin] + one + pattern[end + 1 :] for one in inner]
    return [one for each in whole for one in expand_braces(each)]


def _braces(pattern: bytes) -> tuple[int, list[int], int] | None:
    """Return where the first closed braces begin, are divided, and end."""
    for begin in range(len(pattern)):
        if pattern[begin : begin + 1] != b"{":
            continue
        depth, commas = 0, []
        for at in range(begin, len(pattern)):
            character = pattern[at : at + 1]
            depth += (character == b"{") - (character == b"}")
            if character == b"," and depth == 1:
                commas.append(at)
            if depth == 0:
                return begin, commas, at
    return None
