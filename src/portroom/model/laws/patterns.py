"""Patterns: what glob(3) finds for a name with stars, sets and braces.

Part of the portable core: standard library and Python 3.9 syntax only.

Source: glob(7), glob(3) with GLOB_BRACE.
"""

from __future__ import annotations


def is_pattern(key: bytes) -> bool:
    """Say whether programs that know patterns take a key for one."""
    return any(character in key for character in (b"*", b"?", b"["))


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
    return max(0, pattern.find(b"]", first + 1))


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
