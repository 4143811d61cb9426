"""Patterns find what glob(3) finds, and none takes long."""

import ctypes
import time

import hypothesis
import pytest
from hypothesis import strategies

from portroom.model.laws.patterns import (
    LONGEST_PATH_BYTES,
    expand_braces,
    is_pattern,
    matches,
    stands_for_many,
)

LIBC = ctypes.CDLL(None)

FNM_PATHNAME, FNM_PERIOD = 1, 4

# Not "[" inside a set, nor a set without an end: there C libraries go their own ways.
TOKENS = [b"a", b"b", b"1", b".", b"-", b":", b"*", b"?", b"/", rb"\a", rb"\*", rb"\[", b"]"]
SETS = [b"[ab]", b"[!ab]", b"[^a]", b"[a-c]", b"[c-a]", b"[]a]", b"[!]a]", b"[a-]", rb"[\]a]"]
CLASSES = [b"[[:digit:]]", b"[![:alpha:]]", b"[a[:punct:]-]", b"[[:nothing:]]", b"[.a]"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"net.*", True),
        (b"a?", True),
        (b"[ab", True),
        (b"{a,b}", False),
        (b"net.ipv4.tcp_tw_reuse", False),
        (b"*" * LONGEST_PATH_BYTES, False),
    ],
)
def test_a_star_a_question_mark_or_a_bracket_make_a_pattern(key, expected):
    """
    Braces alone do not, and nothing does that is longer than any path.
    """
    actual = is_pattern(key)

    assert expected == actual


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        (b"*", b"net", True),
        (b"*", b".net", False),
        (b".*", b".net", True),
        (b"[.]net", b".net", False),
        (b"*", b"net/ipv4", False),
        (b"*/*", b"net/ipv4", True),
        (b"**", b"", True),
        (b"[net", b"[net", True),
        (b"[[:alpha:]]et", b"net", True),
        (b"net\\", b"net", False),
        (b"n\nt", b"n\nt", True),
        (b"?", b"\n", True),
    ],
)
def test_a_pattern_finds_names(pattern, path, expected):
    """
    A star stays within its folder and does not find hidden names.
    """
    actual = matches(pattern, path)

    assert expected == actual


@hypothesis.given(
    strategies.lists(strategies.sampled_from(TOKENS + SETS + CLASSES), max_size=6).map(b"".join),
    strategies.lists(
        strategies.sampled_from([b"a", b"b", b"c", b"1", b".", b"-", b"]", b"/"]), max_size=5
    ),
)
def test_the_c_library_finds_the_same(pattern, parts):
    """
    fnmatch(3), by which glob(3) chooses, says of every name what portroom says.
    """
    path = b"".join(parts)
    expected = LIBC.fnmatch(pattern, path, FNM_PATHNAME | FNM_PERIOD) == 0

    assert expected == matches(pattern, path)


@hypothesis.given(strategies.binary(max_size=30), strategies.binary(max_size=30))
def test_any_bytes_are_a_pattern(pattern, path):
    """
    Nothing raises, whatever a file or a line is called.
    """
    assert matches(pattern, path) in {True, False}
    assert all(isinstance(one, bytes) for one in expand_braces(pattern))


@pytest.mark.parametrize(
    "part", [b"*a", b"?*", b"[", b"[[:alpha:]", b"[a-", b"[!]", rb"[\]", b"{", b"{a,b}", b"{a,{b,"]
)
def test_no_pattern_takes_long(part):
    """
    The longest pattern of the worst parts is answered within a second.
    """
    pattern = part * (LONGEST_PATH_BYTES // len(part))
    begin = time.monotonic()
    for one in expand_braces(pattern):
        matches(one, b"ip_local_reserved_ports" * 10)

    assert time.monotonic() - begin < 1.0


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (b"a", [b"a"]),
        (b"{a,b}", [b"a", b"b"]),
        (b"x{a,}y", [b"xay", b"xy"]),
        (b"{a,b}{1,2}", [b"a1", b"a2", b"b1", b"b2"]),
        (b"{a{b,c},d}", [b"ab", b"ac", b"d"]),
        (b"{a}", [b"a"]),
        (b"{a,b", [b"{a,b"]),
        (b"a,b}", [b"a,b}"]),
    ],
)
def test_braces_stand_for_each_of_their_parts(pattern, expected):
    """
    Braces may stand in braces; without an end they stand for themselves.
    """
    assert expected == list(expand_braces(pattern))
    assert not stands_for_many(pattern)


def test_braces_by_the_dozen_are_not_followed():
    """
    What stands for a million names is told to, and is not tried.
    """
    assert stands_for_many(b"{a,b}" * 20)
