"""Patterns: what glob(3) finds for a name with stars, sets and braces.

Part of the portable core: standard library and Python 3.9 syntax only.

Source: glob(7), glob(3) with GLOB_BRACE.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

ANY = frozenset(range(256))

DIGITS, SMALL, CAPITALS = range(48, 58), range(97, 123), range(65, 91)
ALNUM = frozenset({*DIGITS, *SMALL, *CAPITALS})

CLASSES = {
    b"alnum": ALNUM,
    b"alpha": ALNUM - {*DIGITS},
    b"blank": frozenset(b"\t "),
    b"cntrl": frozenset({*range(32), 127}),
    b"digit": frozenset(DIGITS),
    b"graph": frozenset(range(33, 127)),
    b"lower": frozenset(SMALL),
    b"print": frozenset(range(32, 127)),
    b"punct": frozenset(range(33, 127)) - ALNUM,
    b"space": frozenset(b"\t\n\v\f\r "),
    b"upper": frozenset(CAPITALS),
    b"xdigit": frozenset({*DIGITS, *b"abcdefABCDEF"}),
}
"""What stands in a set as ``[:name:]``, in the locale of a boot."""

PATTERN_MARKS = (b"*", b"?", b"[")

LONGEST_PATH_BYTES = 4096
"""Linux include/uapi/linux/limits.h, PATH_MAX: no pattern that is longer finds a path."""

MOST_BRACES, MOST_PATTERNS = 6, 256
"""What braces are followed to; a program may need years for more."""


def is_pattern(key: bytes) -> bool:
    """Say whether programs that know patterns take a key for one."""
    special = any(mark in key for mark in PATTERN_MARKS)
    return special and len(key) < LONGEST_PATH_BYTES


def is_meant_for_many(key: bytes) -> bool:
    """
    Say whether a person means several sysctls by a key, whatever programs make of it.

    >>> is_pattern(b"net/ipv4/tcp_{a,b}"), is_meant_for_many(b"net/ipv4/tcp_{a,b}")
    (False, True)
    """
    return is_pattern(key) or (b"{" in key and len(key) < LONGEST_PATH_BYTES)


def matches(pattern: bytes, path: bytes) -> bool:
    r"""
    Say whether a path is one that glob(3) finds for a pattern.

    A star does not reach over a slash, a backslash quotes what follows.

    >>> matches(b"net/ipv4/ip_local_*", b"net/ipv4/ip_local_port_range")
    True
    >>> matches(b"net/*", b"net/ipv4/tcp_tw_reuse"), matches(rb"a\*", b"a*")
    (False, True)
    """
    patterns, names = pattern.split(b"/"), path.split(b"/")
    return len(patterns) == len(names) and all(map(_fits, patterns, names))


def _fits(pattern: bytes, name: bytes) -> bool:
    """
    Say whether a name without slashes fits a pattern.

    Only the last star is ever tried again, so that no pattern takes long.
    """
    if name.startswith(b".") and not pattern.startswith((b".", b"\\.")):
        return False
    wanted = _wanted(pattern)
    at = token = 0
    star, retry = -1, 0
    while at < len(name):
        here = wanted[token] if token < len(wanted) else frozenset[int]()
        if here is None:
            star, retry = token, at
            token += 1
        elif name[at] in here:
            at, token = at + 1, token + 1
        elif star >= 0:
            retry += 1
            at, token = retry, star + 1
        else:
            return False
    return all(one is None for one in wanted[token:])


# The same pattern is held against every sysctl.
@lru_cache(maxsize=256)
def _wanted(pattern: bytes) -> tuple[frozenset[int] | None, ...]:
    """Return all tokens of a pattern."""
    return tuple(_tokens(pattern))


def _tokens(pattern: bytes) -> Iterator[frozenset[int] | None]:
    """Yield for each place of a name the bytes that may stand there, None for a star."""
    at, endless = 0, set[int]()
    while at < len(pattern):
        byte = pattern[at]
        members, end = _set(pattern, at, endless) if byte == ord("[") else (None, 0)
        if end:
            yield members
            at = end
        elif byte == ord("*"):
            yield None
            at += 1
        elif byte == ord("?"):
            yield ANY
            at += 1
        else:
            members, at = _quoted(pattern, at)
            yield members


def _quoted(pattern: bytes, at: int) -> tuple[frozenset[int], int]:
    """Return the byte at a place, or the one that a backslash there quotes, and the next place."""
    if pattern[at] != ord("\\"):
        return frozenset({pattern[at]}), at + 1
    # A backslash that quotes nothing fits nothing.
    return frozenset(pattern[at + 1 : at + 2]), at + 2


def _set(pattern: bytes, at: int, endless: set[int]) -> tuple[frozenset[int], int]:
    """
    Return the bytes of the set that begins at a place, and its end; 0 if it has none.

    Args:
        pattern: The whole.
        at: Where the ``[`` stands.
        endless: Places from which no end was found. It learns more of them, so
            that many a ``[`` takes no longer than one.
    """
    negated = pattern[at + 1 : at + 2] in {b"!", b"^"}
    at = first = at + 2 if negated else at + 1
    found, passed = frozenset[int](), set[int]()
    while at < len(pattern) and at not in endless:
        if pattern[at] == ord("]") and at > first:
            return (ANY - found if negated else found), at + 1
        members, at = _range(pattern, at)
        found |= members
        passed.add(at)
    endless |= passed
    return frozenset(), 0


def _range(pattern: bytes, at: int) -> tuple[frozenset[int], int]:
    """Return the bytes of a class, a range or a single byte inside a set, and the next place."""
    if pattern.startswith(b"[:", at):
        name, end, _ = pattern[at + 2 :].partition(b":]")
        if end and name.isalpha():
            return CLASSES.get(name, frozenset()), at + len(name) + 4
    low, at = _quoted(pattern, at)
    if pattern[at : at + 1] != b"-" or pattern[at + 1 : at + 2] in {b"", b"]"}:
        return low, at
    high, at = _quoted(pattern, at + 1)
    # One that runs backwards has no bytes.
    return frozenset(range(min(low), max(high, default=0) + 1) if low else ()), at


def stands_for_many(pattern: bytes) -> bool:
    """
    Say whether braces stand for so many patterns that they are not followed here.

    >>> stands_for_many(b"{a,b}" * 6), stands_for_many(b"{a,b}" * 40)
    (False, True)
    """
    return pattern.count(b"{") > MOST_BRACES or len(expand_braces(pattern)) >= MOST_PATTERNS


@lru_cache(maxsize=256)
def expand_braces(pattern: bytes) -> tuple[bytes, ...]:
    """
    Return the patterns that ``{a,b}`` stands for, one where there is none.

    At most MOST_PATTERNS of them; with more than MOST_BRACES, the pattern itself.

    >>> expand_braces(b"90-{a,b{1,2}}.conf")
    (b'90-a.conf', b'90-b1.conf', b'90-b2.conf')
    """
    if pattern.count(b"{") > MOST_BRACES:
        return (pattern,)
    waiting, expanded = [pattern], list[bytes]()
    while waiting and len(expanded) < MOST_PATTERNS:
        one = waiting.pop()
        found = _braces(one)
        if found is None:
            expanded.append(one)
            continue
        begin, commas, end = found
        cuts = [begin, *commas, end]
        inner = [one[first + 1 : last] for first, last in zip(cuts, cuts[1:])]
        waiting += [one[:begin] + part + one[end + 1 :] for part in reversed(inner)]
    return tuple(expanded)


def _braces(pattern: bytes) -> tuple[int, list[int], int] | None:
    """Return where the first closed braces begin, are divided, and end."""
    opened: list[int] = []
    closed: dict[int, int] = {}
    for at, byte in enumerate(pattern):
        if byte == ord("{"):
            opened.append(at)
        elif byte == ord("}") and opened:
            closed[opened.pop()] = at
    if not closed:
        return None
    begin = min(closed)
    depth, commas = 0, []
    for at in range(begin, closed[begin]):
        depth += (pattern[at] == ord("{")) - (pattern[at] == ord("}"))
        if pattern[at] == ord(",") and depth == 1:
            commas.append(at)
    return begin, commas, closed[begin]
